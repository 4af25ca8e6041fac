# SPDX-License-Identifier: GPL-3.0-or-later
"""Assertions that every cluster test makes about a volume.

All nodes share one kernel: without these a toy would pass, by using another
node's mount.
"""

import os

from . import proc


def mounts_of(ident):
    """The mounts of a namespace whose first process ended meanwhile."""
    for pid in proc.pids():
        if proc.namespace(pid, "mnt") == ident:
            found = proc.mounts(pid)
            if found:
                return found
    return []


def mounts(bed, volume):
    """Who has the volume mounted: [(mount namespace, point)], machine-wide."""
    loops = bed.luns[volume].loops().values()
    numbers = {f"{os.major(x.number)}:{os.minor(x.number)}" for x in loops}
    sources = {x.device for x in loops} | {f"/dev/csv/{volume}"}
    ours = {n.namespace("mnt") for n in bed.alive()}
    found = []
    for ident, pid in proc.mount_namespaces().items():
        for entry in proc.mounts(pid) or mounts_of(ident):
            by_name = ident in ours and entry["source"] in sources
            if entry["dev"] in numbers or by_name:
                found.append((ident, entry["point"]))
    return found


def wait_unmounted(bed, volume, timeout=30):
    """Wait until no mount namespace has it."""
    proc.wait_until(f"{volume} is free", lambda: not mounts(bed, volume),
                    timeout)


def assert_mounted_only_on(bed, volume, owner):
    """No mount namespace but the owner's has it; with owner None, none."""
    allowed = {owner.namespace("mnt")} if owner else set()
    seen = {ident for ident, _ in mounts(bed, volume)}
    names = {n.namespace("mnt"): n.name for n in bed.alive()}
    assert seen == allowed, (
        f"{volume} is mounted on {[names.get(s, s) for s in seen]}, "
        f"expected {[names[a] for a in allowed]}")


def device_numbers(bed, volume):
    """Device numbers of the volume: its loops', its mounts'."""
    numbers = {x.number for x in bed.luns[volume].loops().values()}
    for node in bed.alive():
        for ident, point in mounts(bed, volume):
            if ident == node.namespace("mnt"):
                numbers.add(os.stat(node.root + point).st_dev)
    return numbers


def holders(bed, volume, name="smbd"):
    """Processes with that name and a descriptor, cwd or root on the volume:
    [(node, host pid, path)]."""
    numbers = device_numbers(bed, volume)
    return [(node, pid, path) for node in bed.alive()
            for pid in node.pids(name)
            for path, device in proc.held_devices(pid) if device in numbers]


def assert_no_foreign_descriptor(bed, volume, owner):
    """No smbd of another node than the owner holds anything on it."""
    foreign = [(node.name, pid, path)
               for node, pid, path in holders(bed, volume)
               if owner is None or node.number != owner.number]
    assert not foreign, f"{volume} is held outside its owner: {foreign}"


def assert_volume(bed, volume, owner):
    """Both of the above."""
    assert_mounted_only_on(bed, volume, owner)
    assert_no_foreign_descriptor(bed, volume, owner)


class Panics:
    """``p = Panics(bed)`` … ``p.check()``: no program of Samba panicked since
    the last look."""

    LOGS = ("samba.log", "csvd.log", "log.ctdb")
    # how a child of smbd ends that begins while there is no ctdbd
    EXPECTED = "reinit_after_fork"

    def __init__(self, bed):
        self.bed, self._at = bed, {}
        self.new()

    def _more(self, path):
        """What the log has got since: in a long run it has grown large."""
        try:
            with open(path, "rb") as log:
                log.seek(self._at.get(path, 0))
                text = log.read()
        except FileNotFoundError:
            return ""
        self._at[path] = self._at.get(path, 0) + len(text)
        return text.decode("utf-8", "replace")

    def new(self):
        """Lines about panics since the last look."""
        found = []
        for node in self.bed.nodes:
            for name in self.LOGS:
                text = self._more(node.dir / "log" / name)
                found += [f"{node.name} {name}: {line.strip()}"
                          for line in text.splitlines()
                          if ("PANIC" in line or "INTERNAL ERROR" in line)
                          and self.EXPECTED not in line]
        return found

    def check(self):
        """AssertionError with what they say."""
        found = self.new()
        assert not found, found[:4]


class Flushed:
    """``with Flushed(bed, volume):`` fails if no flush reached the LUN."""

    def __init__(self, bed, volume, at_least=1):
        self.lun, self.at_least = bed.luns[volume], at_least

    def __enter__(self):
        self.before = self.lun.flushes()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            seen = self.lun.flushes() - self.before
            assert seen >= self.at_least, (
                f"{self.lun.name}: {seen} flushes, "
                f"at least {self.at_least} expected")
