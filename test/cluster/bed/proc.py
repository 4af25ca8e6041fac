# SPDX-License-Identifier: GPL-3.0-or-later
"""What /proc of the host says about processes, mounts and descriptors.

Every process id here is one of the host's PID namespace.
"""

import os
import pathlib
import signal
import time

from .errors import BedError


def wait_until(what, probe, timeout, interval=0.05):
    """Poll probe until it returns something true; return that.

    BedError after timeout seconds, with the last exception as its cause.
    A probe that takes long (one that starts programs) is asked less often
    than each interval seconds: it does not hold up what it waits for.
    """
    deadline = time.monotonic() + timeout
    cause = None
    while True:
        begun = time.monotonic()
        try:
            value = probe()
            cause = None
        except BedError as err:
            value, cause = None, err
        if value:
            return value
        now = time.monotonic()
        if now >= deadline:
            detail = f": {cause}" if cause else ""
            raise BedError(f"not within {timeout} s: {what}{detail}")
        time.sleep(max(interval, 2 * (now - begun)))


def pids():
    """All process ids of the host."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat_field(pid, index):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8",
                  errors="replace") as handle:
            return handle.read().rpartition(")")[2].split()[index]
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time(pid):
    """The process' start in clock ticks, None if there is no such one."""
    value = _stat_field(pid, 19)
    return None if value is None else int(value)


def state(pid):
    """The state letter (R, S, D, T, Z …), None when gone."""
    return _stat_field(pid, 0)


def parent(pid):
    """The parent's process id, None when gone."""
    value = _stat_field(pid, 1)
    return None if value is None else int(value)


def is_alive(pid, started):
    """True while the process that began at started still runs."""
    return start_time(pid) == started and state(pid) not in (None, "Z", "X")


def title(pid):
    """What the process calls itself, 15 characters, empty when gone.

    An smbd that serves a client calls itself smbd[address.
    """
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8",
                  errors="replace") as handle:
            return handle.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def command(pid):
    """Its command line, which an smbd changes as well; empty when gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as handle:
            return handle.read().replace(b"\0", b" ").decode(
                errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def name(pid):
    """The process' short name, of every smbd the same; empty when gone."""
    return title(pid).partition("[")[0]


def stacks(pid):
    """Where each thread of a process waits, a line each; for a report."""
    def of_thread(task):
        def first(name):
            return (task / name).read_text("utf-8", "replace").strip()
        return f"{pid} {task.name} {first('comm')}: {first('wchan')}, " \
               f"call {first('syscall')}"
    try:
        return [of_thread(task) for task in
                pathlib.Path(f"/proc/{pid}/task").iterdir()]
    except OSError as err:
        return [f"{pid}: {err}"]


def namespace(pid, kind):
    """The namespace's identity like 'mnt:[4026531841]', None when gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def members(pid_ns):
    """Living processes of a PID namespace (not of nested ones)."""
    return [p for p in pids() if namespace(p, "pid") == pid_ns
            and state(p) not in (None, "Z", "X")]


def send(pid, sig):
    """Signal one process; False when it is gone."""
    try:
        os.kill(pid, sig)
        return True
    except ProcessLookupError:
        return False


def stop_all(pid_ns, timeout=10):
    """SIGSTOP every process of a PID namespace until each one stands."""
    def all_stopped():
        running = [p for p in members(pid_ns) if state(p) not in ("T", "t")]
        for pid in running:
            send(pid, signal.SIGSTOP)
        return not running
    wait_until(f"every process of {pid_ns} stopped", all_stopped, timeout,
               0.01)


def continue_all(pid_ns):
    """SIGCONT every process of a PID namespace."""
    for pid in members(pid_ns):
        send(pid, signal.SIGCONT)


def _unescape(text):
    return text.encode().decode("unicode_escape")


def mounts(pid):
    """The mounts that a process sees: dicts dev, point, fstype, source."""
    found = []
    try:
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as handle:
            lines = handle.readlines()
    except (FileNotFoundError, ProcessLookupError, OSError):
        return found
    for line in lines:
        head, _, tail = line.partition(" - ")
        fields, more = head.split(), tail.split()
        found.append({"dev": fields[2], "point": _unescape(fields[4]),
                      "fstype": more[0], "source": _unescape(more[1])})
    return found


def mount_namespaces():
    """One process id for each mount namespace of the machine."""
    found = {}
    for pid in pids():
        ident = namespace(pid, "mnt")
        if ident is not None:
            found.setdefault(ident, pid)
    return found


def held_devices(pid):
    """Device numbers behind a process' descriptors, cwd and root.

    A set of (what, device number): the file system's for a file on it, and
    the block device's own for a descriptor of the device.
    """
    found = set()
    base = f"/proc/{pid}"
    try:
        paths = [f"{base}/fd/{fd}" for fd in os.listdir(f"{base}/fd")]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return found
    for path in paths + [f"{base}/cwd", f"{base}/root"]:
        try:
            info = os.stat(path)
            target = os.readlink(path)
        except OSError:
            continue
        found.add((target, info.st_dev))
        if info.st_rdev:
            found.add((target, info.st_rdev))
    return found
