#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a node, a client or the bed itself.

Started inside new namespaces as ``init.py ROLE DIRECTORY [NODE]``.  It builds
the node's file system tree, prints one line "ready HOST-PID", then only
collects dead processes.  Its death ends every process of its PID namespace.
"""

import json
import os
import pathlib
import signal
import socket
import stat
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from bed import ns  # noqa: E402  pylint: disable=wrong-import-position

OWN = {"proc", "sys", "dev", "run", "tmp", "csv", "shared", "bed",
       "lost+found"}
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8),
           "urandom": (1, 9), "tty": (5, 0), "fuse": (10, 229),
           "btrfs-control": (10, 234), "kmsg": (1, 11)}


def show_host(root):
    """Put every directory of the host into root, read-only."""
    for entry in os.scandir("/"):
        target = f"{root}/{entry.name}"
        if entry.name in OWN:
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            ns.bind(entry.path, target, recursive=True)
            ns.read_only(target)


def show_again(root, path):
    """Put a host directory at its own place where show_host left it out."""
    target = f"{root}{path}"
    if not os.path.isdir(target):
        os.makedirs(target)
        ns.bind(path, target, recursive=True)
        ns.read_only(target)


def make_dev(root):
    """A small /dev of the node's own."""
    dev = f"{root}/dev"
    os.mkdir(dev)
    ns.mount("dev", dev, "tmpfs", ns.MS_NOSUID, "mode=755")
    for name, number in DEVICES.items():
        os.mknod(f"{dev}/{name}", stat.S_IFCHR | 0o666,
                 os.makedev(*number))
        os.chmod(f"{dev}/{name}", 0o666)
    for name in ("pts", "shm", "csv"):
        os.mkdir(f"{dev}/{name}")
    ns.mount("devpts", f"{dev}/pts", "devpts", 0,
             "newinstance,ptmxmode=0666,mode=620")
    ns.mount("shm", f"{dev}/shm", "tmpfs", 0, "mode=1777")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"),
                         ("stdin", "fd/0"), ("stdout", "fd/1"),
                         ("stderr", "fd/2")):
        os.symlink(target, f"{dev}/{name}")


def make_kernel_mounts(root):
    """/proc and /sys of the node's own namespaces, /run and /tmp."""
    for name, fstype, mode in (("proc", "proc", None), ("sys", "sysfs", None),
                               ("run", "tmpfs", "mode=755"),
                               ("tmp", "tmpfs", "mode=1777")):
        os.mkdir(f"{root}/{name}")
        ns.mount(name, f"{root}/{name}", fstype, ns.MS_NOSUID, mode)
    if os.path.isdir(f"{root}/var/tmp"):
        ns.mount("tmp", f"{root}/var/tmp", "tmpfs", ns.MS_NOSUID,
                 "mode=1777")
    for name in ("ctdb-volatile", "resource-agents", "lock", "csvd"):
        os.mkdir(f"{root}/run/{name}", 0o755)


def bind_file(source, target):
    """Make a file appear at target, made first if it is not there."""
    if not os.path.lexists(target):
        with open(target, "wb"):
            pass
    ns.bind(source, target)


def make_own(root, bed_dir, node_dir, prefix):
    """What only this node has, and what only this bed has."""
    for part in ("etc", "var", "private"):
        ns.bind(f"{node_dir}/{part}", f"{root}{prefix}/{part}")
    os.mkdir(f"{root}/csv")
    for target, source in (("shared", f"{bed_dir}/shared"),
                           ("bed/log", f"{node_dir}/log"),
                           ("bed/etc", f"{node_dir}/etc"),
                           ("bed/bin", f"{bed_dir}/bin")):
        os.makedirs(f"{root}/{target}")
        ns.bind(source, f"{root}/{target}")
    bind_file(f"{bed_dir}/fence.sock", f"{root}/bed/fence.sock")
    # Not bind mounts of files: they vanish when the host renames over one.
    overlay(f"{node_dir}/hostetc", f"{root}/etc")
    overlay(f"{bed_dir}/modules", f"{root}{prefix}/lib/vfs")
    overlay(f"{bed_dir}/agents", f"{root}/usr/sbin")


def overlay(extra, target):
    """Let target show the files of extra besides its own, read-only."""
    if os.path.isdir(target):
        ns.mount("overlay", target, "overlay", ns.MS_RDONLY,
                 f"lowerdir={extra}:{target}")


def build_node(bed_dir, node):
    """Make the node's tree and move into it."""
    with open(f"{bed_dir}/config.json", encoding="utf-8") as handle:
        config = json.load(handle)
    node_dir, prefix = f"{bed_dir}/node{node}", config["prefix"]
    root = f"{node_dir}/root"
    socket.sethostname(f"node{node}")
    ns.mount(None, "/", flags=ns.MS_REC | ns.MS_PRIVATE)
    ns.mount("root", root, "tmpfs", 0, "mode=755")
    show_host(root)
    make_kernel_mounts(root)
    for path in (prefix, config["repo"]):
        show_again(root, path)
    make_dev(root)
    make_own(root, bed_dir, node_dir, prefix)
    ns.pivot(root)


def collect_forever():
    """Reap children until the end of the world."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def main(argv):
    """Build, report, reap."""
    role, bed_dir = argv[1], argv[2]
    host_pid = os.readlink("/proc/self")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if role == "bed":
        ns.drop_mounts("/tmp")      # of tests in the other lane
    if role == "node":
        build_node(bed_dir, argv[3])
        os.environ["HOME"] = "/tmp"
    print(f"ready {host_pid}", flush=True)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.chdir("/")
    collect_forever()


if __name__ == "__main__":
    main(sys.argv)
