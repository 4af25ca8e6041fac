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


def processes(bed_dir):
    """Host process ids in any namespace of the bed."""
    kinds = ("pid", "net", "mnt")
    here = {proc.namespace(os.getpid(), kind) for kind in kinds}
    wanted = {life[f"ns_{kind}"] for life in _lives(bed_dir)
              for kind in kinds} - here
    return [p for p in proc.pids() if proc.state(p) not in (None, "Z", "X")
            and wanted & {proc.namespace(p, kind) for kind in kinds}]


def remove(bed_dir):
    """Kill what is left of a bed, detach its loop devices, delete it."""
    for life in _lives(bed_dir):
        if proc.is_alive(life["pid"], life["start"]):
            proc.send(life["pid"], signal.SIGKILL)

    def all_dead():
        left = processes(bed_dir)
        for pid in left:
            proc.send(pid, signal.SIGKILL)
        return not left
    proc.wait_until(f"no process of {bed_dir} left", all_dead, 20)
    lun.detach_all(lambda: lun.loops_under(bed_dir), 30)
    shutil.rmtree(bed_dir)


def is_dead(bed_dir):
    """True when no keeper holds the bed."""
    with open(bed_dir / "lock", "w", encoding="utf-8") as handle:
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
