# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a bed away completely, also one whose keeper was killed."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal

from . import lun, proc

BASE = pathlib.Path(os.environ.get("SOFS_BED_DIR", "/var/tmp/sofs-bed"))

MARK = "SOFS_BED_ID"


@contextlib.contextmanager
def base_lock():
    """Held while a bed's directory is made, and by a sweep."""
    BASE.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(BASE / ".lock", "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _lives(bed_dir):
    """The life.json of the bed, its nodes and its clients."""
    for path in [bed_dir, *bed_dir.glob("*")]:
        try:
            yield json.loads((path / "life.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue


def marked(bed_dir):
    """An environment that tells whose a process outside the bed's PID
    namespace is; the number of a namespace alone is soon used again."""
    return {**os.environ, MARK: bed_dir.name}


def _is_marked(pid, bed_dir):
    try:
        with open(f"/proc/{pid}/environ", "rb") as handle:
            return f"{MARK}={bed_dir.name}".encode() in \
                handle.read().split(b"\0")
    except OSError:
        return False


def processes(bed_dir):
    """The bed's processes, launchers and clients: {(host pid, start)}."""
    kinds = ("pid", "net", "mnt")
    here = {proc.namespace(os.getpid(), kind) for kind in kinds}
    found = [(pid, proc.start_time(pid),
              {proc.namespace(pid, kind) for kind in kinds})
             for pid in proc.pids()]
    # Asked afterwards: a namespace that its first process still holds was the
    # bed's own all the time; any other may be one that a new bed got since.
    wanted = {life[f"ns_{kind}"] for life in _lives(bed_dir)
              if proc.is_alive(life["pid"], life["start"])
              for kind in kinds
              if proc.namespace(life["pid"], kind) == life[f"ns_{kind}"]
              } - here
    return {(pid, start) for pid, start, theirs in found
            if wanted & theirs
            or (pid != os.getpid() and _is_marked(pid, bed_dir))}


def remove(bed_dir):
    """Kill what is left of a bed, detach its loop devices, delete it."""
    victims = processes(bed_dir)

    def all_dead():
        left = [pid for pid, start in victims | processes(bed_dir)
                if proc.is_alive(pid, start)]
        for pid in left:
            proc.send(pid, signal.SIGKILL)
        return not left
    proc.wait_until(f"no process of {bed_dir} left", all_dead, 20)
    lun.detach_all(lambda: lun.loops_under(bed_dir), 30)
    shutil.rmtree(bed_dir, ignore_errors=True)  # another sweep may help


def is_dead(bed_dir):
    """True when no keeper holds the bed, or it is gone altogether."""
    try:
        handle = open(bed_dir / "lock", "w", encoding="utf-8")
    except FileNotFoundError:
        return True
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def sweep():
    """Remove every bed whose keeper has gone; return their names."""
    removed = []
    with base_lock():
        for path in sorted(BASE.iterdir()):
            if path.is_dir() and is_dead(path):
                remove(path)
                removed.append(path.name)
    return removed


def running():
    """Directories of the beds that live."""
    if not BASE.is_dir():
        return []
    return [p for p in sorted(BASE.iterdir())
            if p.is_dir() and not is_dead(p)]
