# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls that Python 3.11 lacks, and commands inside namespaces."""

import ctypes
import os
import signal
import struct
import subprocess

from .errors import BedError

MS_RDONLY, MS_NOSUID, MS_NOEXEC, MS_NODEV = 1, 2, 8, 4
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        err = ctypes.get_errno()
        raise OSError(err, f"{what}: {os.strerror(err)}")


def mount(source, target, fstype="none", flags=0, data=None):
    """mount(2)."""
    args = [None if a is None else os.fsencode(a)
            for a in (source, target, fstype)]
    data = None if data is None else os.fsencode(data)
    _check(_libc.mount(*args, ctypes.c_ulong(flags), data),
           f"mount {source} on {target}")


def bind(source, target, recursive=False):
    """Make source appear at target, which must exist."""
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))


def read_only(target):
    """Make the mount at target and all mounts below it read-only."""
    attr = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    _check(_libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(target),
                         AT_RECURSIVE, attr, ctypes.c_size_t(len(attr))),
           f"mount_setattr {target}")


def pivot(new_root):
    """Make new_root the root directory and drop the old one."""
    os.chdir(new_root)
    number = SYS_PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(number, b".", b"."), f"pivot_root {new_root}")
    _check(_libc.umount2(b".", MNT_DETACH), "umount old root")
    os.chdir("/")


def drop_mounts(below):
    """Without what is mounted below a directory: a file system that others
    unmount meanwhile would live on in this namespace."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        found = [line.split()[1] for line in mounts]
    for path in reversed(found):
        if path.startswith(below + "/"):
            _libc.umount2(os.fsencode(path), MNT_DETACH)


def die_with_parent():
    """Let this process get SIGKILL when the thread that made it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def enter_argv(pid, kinds):
    """The command prefix that enters the named namespaces of host pid."""
    return ["nsenter", "-t", str(pid)] + [f"-{k}" for k in kinds] + ["--"]


def command(argv, **kwargs):
    """Run a command of the bed's own; its failure is a BedError."""
    proc = subprocess.run(argv, capture_output=True, text=True,
                          stdin=None if "input" in kwargs
                          else subprocess.DEVNULL, check=False, **kwargs)
    if proc.returncode != 0:
        raise BedError(f"{' '.join(map(str, argv))}: exit "
                       f"{proc.returncode}: {proc.stderr.strip()}")
    return proc.stdout
