# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes: what clients say that they moved, what the smbds of their nodes say
that they redirected or did themselves, what the owners' csvds say that they
served. All nodes share one kernel: a redirection that only seems to be one
would show here."""

import contextlib
import json
import pathlib

from bed import faults, proc
from bed.errors import BedError

# Of one request of a client.
LARGEST = 8 * 1024 * 1024
KEYS = ("direct_read_bytes", "direct_write_bytes", "redirected_read_bytes",
        "redirected_write_bytes", "redirected_ops", "replayed")


def smbd_counters(node, volume):
    """Sums of the module's counters of all smbds of a node, ended ones
    included (each writes them within a second, and when it ends)."""
    sums = dict.fromkeys(KEYS, 0)
    for path in pathlib.Path(f"{node.root}/run/csvd/stats").glob(
            f"*.{volume}.json"):
        values = json.loads(path.read_text("utf-8"))
        for key in KEYS:
            sums[key] += values[key]
    return sums


class Seen:
    """A node's counters at one time, and whose they are."""

    def __init__(self, volume, node):
        self.life = node.pid
        self.csvd = set(faults.csvd_pids(node)[1])
        self.smbd = smbd_counters(node, volume.name)
        served = volume.state(node)["counters"] if self.csvd else None
        served = served or {"read_bytes": 0, "write_bytes": 0}
        self.served = (served["read_bytes"], served["write_bytes"])


def look(volume, node):
    """What is seen of it; None while it is off or its csvd does not
    answer."""
    try:
        return Seen(volume, node)
    except (BedError, OSError, LookupError, ValueError):
        return None


class Ledger:
    """Opened before a test moves data on a volume, checked after it.

    A node that was off meanwhile took its counters along; so did a csvd.
    """

    def __init__(self, volume):
        self.volume, self.bed = volume, volume.bed
        self.first_entry = len(self.bed.moved)
        self.before = {n: look(volume, n) for n in self.bed.nodes}
        self.first_epoch = volume.epoch()

    def _owners(self):
        """Who owned it meanwhile; None when not every owner was seen."""
        epochs = range(self.first_epoch, self.volume.epoch() + 1)
        if not set(epochs) <= set(self.volume.owners):
            return None
        return set().union(*(self.volume.owners[e] for e in epochs))

    def _said(self, node):
        """(least read, least written, are these all) of the clients that
        used this node."""
        read, written, whole = 0, 0, True
        for entry in self.bed.moved[self.first_entry:]:
            if self.bed.share_volumes.get(entry.share) != self.volume.name:
                continue
            at = self.bed.node_at(entry.address)
            if at is node:
                read, written = read + entry.read, written + entry.written
            elif at is not None:
                continue
            whole = whole and entry.whole and at is not None
        return read, written, whole

    def _node(self, node, now, owners):
        """Each of its bytes was moved for a client, redirected if the node
        does not own the volume."""
        was = self.before[node]
        more = {key: now.smbd[key] - was.smbd[key] for key in KEYS}
        done = (more["direct_read_bytes"] + more["redirected_read_bytes"],
                more["direct_write_bytes"] + more["redirected_write_bytes"])
        *said, whole = self._said(node)
        where = (f"{self.volume.name} through {node.name}: clients moved "
                 f"{said}, smbd {more}")
        assert done[0] >= said[0] and done[1] >= said[1], where
        assert not whole or list(done) == said, where
        if owners is not None and node not in owners:
            assert not more["direct_read_bytes"], where
            assert not more["direct_write_bytes"], where
        if owners == {node}:
            assert not more["redirected_read_bytes"], where
            assert not more["redirected_write_bytes"], where
        return more

    def _served(self, now, more, whole):
        """What the smbds redirected, the csvds served; what was asked for
        twice, they may have served twice."""
        for index, key in enumerate(("read", "write")):
            served = sum(now[n].served[index] - self.before[n].served[index]
                         for n in now)
            asked = sum(m[f"redirected_{key}_bytes"] for m in more.values())
            twice = sum(m["replayed"] for m in more.values()) * LARGEST
            where = (f"{self.volume.name}: {key} of {asked} bytes "
                     f"redirected, {served} served, up to {twice} again")
            assert asked <= served, where
            # an smbd that was killed took its last numbers along
            assert not whole or served <= asked + twice, where

    def _compare(self):
        now = {n: look(self.volume, n) for n in self.bed.nodes}
        kept = {n: seen for n, seen in now.items() if seen and self.before[n]
                and seen.life == self.before[n].life}
        owners = self._owners()
        more = {n: self._node(n, seen, owners) for n, seen in kept.items()}
        if len(kept) == len(self.bed.nodes) and all(
                seen.csvd == self.before[n].csvd for n, seen in now.items()):
            self._served(now, more, all(
                entry.whole for entry in self.bed.moved[self.first_entry:]))

    def check(self):
        """AssertionError if the numbers do not agree, also two seconds
        later."""
        def agree():
            try:
                self._compare()
            except AssertionError as err:
                raise BedError(str(err)) from err
            return True
        try:
            proc.wait_until("bytes agree", agree, 3, 0.1)
        except BedError as err:
            raise AssertionError(str(err)) from err



@contextlib.contextmanager
def accounted(volume):
    """What a fixture of a volume does around its test: afterwards only its
    owner has it mounted, no other smbd has anything of it open, and the bytes
    of clients, smbds and csvds agree."""
    ledger = Ledger(volume)
    yield volume
    volume.check_serving()
    ledger.check()
