# SPDX-License-Identifier: GPL-3.0-or-later
"""One node: its life, and commands in it."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess

from . import lun, net, ns, proc, remains, samba
from .errors import BedError

INIT = samba.REPO / "test/cluster/bed/init.py"
KINDS = ("mnt", "net", "pid", "uts", "ipc")


class Node:
    """A node of a bed.  Any process may hold one; the truth is on disk."""

    def __init__(self, bed, number):
        self.bed, self.number = bed, number
        self.name = f"node{number}"
        self.dir = bed.dir / self.name
        self.pnn = number - 1   # CTDB counts from 0

    def __eq__(self, other):
        return isinstance(other, Node) and self.dir == other.dir

    def __hash__(self):
        return hash(self.dir)

    def __repr__(self):
        return f"<{self.name} of bed {self.bed.id}>"

    # what it is

    def _life(self):
        return read_life(self.dir)

    @property
    def pid(self):
        """Host process id of its first process; BedError when it is off."""
        life = self._life()
        if life is None or not proc.is_alive(life["pid"], life["start"]):
            raise BedError(f"{self.name} is off")
        return life["pid"]

    @property
    def alive(self):
        """True while it is powered on, stopped and silent ones too."""
        life = self._life()
        return life is not None and proc.is_alive(life["pid"], life["start"])

    @property
    def root(self):
        """Its root directory as the host reaches it."""
        return f"/proc/{self.pid}/root"

    @property
    def address(self):
        """Its own address for clients."""
        return net.node_address(self.number)

    @property
    def cluster_address(self):
        """Its address for the other nodes."""
        return net.cluster_address(self.number)

    @property
    def cable(self):
        """Its port of the bridge."""
        return f"n{self.number}"

    def namespace(self, kind):
        """Identity of one of its namespaces; None when it is off, because
        the kernel uses the number again."""
        life = self._life()
        return life[f"ns_{kind}"] if self.alive else None

    def pids(self, name=None):
        """Host process ids of its processes, or of those with a name.

        None lives when the first one is dead: the kernel sees to that.
        """
        ident = self.namespace("pid")
        found = proc.members(ident) if ident else []
        return [p for p in found if name is None or
                proc.name(p) == name[:15]]

    def serving(self):
        """Host process ids of the smbds that serve a client."""
        return [p for p in self.pids("smbd") if "client" in proc.command(p)]

    def missing(self):
        """Names of the daemons that should run and do not."""
        names = ["ctdbd", "smbd", "samba-dcerpcd"]
        names += ["csvd"] if self.bed.has_csvd else []
        running = {proc.name(pid) for pid in self.pids()}
        return [n for n in names if n[:15] not in running]

    def loops(self):
        """The loop devices that its LUNs use now."""
        per_lun = [disk.loops() for disk in self.bed.luns.values()]
        return [loops[self.number] for loops in per_lun
                if self.number in loops]

    @contextlib.contextmanager
    def lock(self):
        """One at a time: start, kill, fence."""
        self.dir.mkdir(exist_ok=True)
        with open(self.dir / ".lock", "w", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    # commands in it

    def argv(self, argv):
        """The host command that runs argv in the node."""
        path = samba.path_of(self.bed.config["prefix"])
        return ns.enter_argv(self.pid, "muinp") + [
            "env", "-i", f"PATH={path}", "HOME=/tmp", "LANG=C.UTF-8",
            "OCF_ROOT=/usr/lib/ocf", *map(str, argv)]

    def popen(self, *argv, **kwargs):
        """Start a command in the node; killpg ends it from outside."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.argv(argv), start_new_session=True,
                                env=remains.marked(self.bed.dir), **kwargs)

    def run(self, *argv, check=True, timeout=60, data=None):
        """Run a command in the node: CompletedProcess with text output.

        BedError when it fails (with check) or takes longer than timeout.
        """
        with self.popen(*argv, stdout=subprocess.PIPE, text=True,
                        stderr=subprocess.PIPE,
                        stdin=subprocess.PIPE) as child:
            try:
                out, err = child.communicate(data, timeout)
            except BaseException as why:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                if isinstance(why, subprocess.TimeoutExpired):
                    raise BedError(f"{self.name}: {' '.join(map(str, argv))}:"
                                   f" no end within {timeout} s") from None
                raise
        if check and child.returncode != 0:
            off = "" if self.alive else \
                f"it lost its power; fenced: {self.bed.fence_log()[-2:]}"
            raise BedError(f"{self.name}: {' '.join(map(str, argv))}: exit "
                           f"{child.returncode}: {out}{err}{off}".rstrip())
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def spawn(self, *argv, log):
        """Start a daemon that stays in the foreground, output into a log."""
        self.run("sh", "-c", 'log=$1; shift; setsid "$@" >>"$log" 2>&1 '
                 "</dev/null &", "sh", f"/bed/log/{log}", *argv)

    # life

    def start(self):
        """Power on: namespaces, network, disks, daemons.  Does not wait
        for the cluster to become healthy."""
        with self.lock():
            if self.alive:
                raise BedError(f"{self.name} is already on")
            self._prepare()
            self._start_init()
            net.plug(self.bed.pid, self.pid, self.cable,
                     [self.cluster_address, self.address])
            for disk in self.bed.luns.values():
                disk.attach(self)
            self.start_daemons()

    def _prepare(self):
        lun.detach_all(self.loops)
        for name in ("etc", "var", "private", "log", "root", "lun"):
            (self.dir / name).mkdir(parents=True, exist_ok=True)
        for name in ("log", "run", "cache", "lib/ctdb", "lib/ctdb/persistent",
                     "lib/ctdb/state", "lib/ctdb/volatile", "lock",
                     "lock/ctdb", "locks", "run/ctdb"):
            (self.dir / "var" / name).mkdir(parents=True, exist_ok=True)
        for stale in (self.dir / "var").rglob("*.pid"):
            stale.unlink()
        (self.dir / "private").chmod(0o700)
        samba.write_config(self.dir, self.number, self.bed.config)

    def _start_init(self):
        argv = ns.enter_argv(self.bed.pid, "mpn") + [
            "unshare", "--mount", "--net", "--pid", "--uts", "--ipc",
            "--fork", "--kill-child", "--propagation", "private",
            "/usr/bin/python3", "-I", str(INIT), "node", str(self.bed.dir),
            str(self.number)]
        pid = read_ready(argv, self.dir / "log/init.log",
                         env=remains.marked(self.bed.dir))
        write_life(self.dir, pid)

    @property
    def daemon_env(self):
        """What goes before ctdbd and csvd for an environment of theirs and of
        all that they start: the lines of the file "environment"."""
        path = self.dir / "environment"
        return ["env", *path.read_text("utf-8").split()] \
            if path.exists() else []

    def start_daemons(self):
        """ctdbd, then csvd if the bed has one; ctdbd starts the others."""
        self.run(*self.daemon_env, "ctdbd")
        proc.wait_until(f"{self.name}: ctdbd answers",
                        lambda: self.run("ctdb", "pnn", check=False)
                        .returncode == 0, 20)
        if self.bed.has_csvd:
            self.start_csvd()

    def restart_ctdbd(self):
        """What the init system does when ctdbd ended: what it left ends too,
        then another one is started.  csvd is left alone."""
        def left():
            return [p for p in self.pids() if proc.name(p).startswith("ctdb")]
        for pid in left():
            proc.send(pid, signal.SIGKILL)
        proc.wait_until(f"{self.name}: nothing left of ctdbd", lambda:
                        not left(), 10)
        # CTDB's script would, but not from a veth (named eth0@if7)
        for number in range(1, self.bed.config["nodes"] + 1):
            self.run("ip", "address", "del",
                     f"{net.public_address(number)}/24", "dev", "eth0",
                     check=False)
        self.run("ctdbd")

    def stop_daemons(self, timeout=30):
        """``ctdb shutdown``, as an admin stops a node; csvd ends itself or
        is asked to.  start_daemons() is the way back."""
        self.run("ctdb", "shutdown", timeout=timeout)
        try:
            proc.wait_until(
                f"{self.name}: ctdbd and smbd ended", lambda: not (
                    self.pids("ctdbd") or self.pids("smbd")), timeout)
        except BedError:
            for pid in self.pids():
                print(proc.command(pid), *proc.stacks(pid), sep="\n")
            raise
        for pid in self.pids("csvd"):
            proc.send(pid, signal.SIGTERM)
        proc.wait_until(f"{self.name}: csvd ended",
                        lambda: not self.pids("csvd"), timeout)

    def start_csvd(self):
        """Our daemon: the supervisor stays in the foreground."""
        self.spawn(*self.daemon_env, "csvd",
                   *self.bed.config["csvd_args"], log="csvd.log")

    def ctdb(self, *args, **kwargs):
        """Output of the ctdb tool."""
        return self.run("ctdb", *args, **kwargs).stdout

    def database(self, name):
        """Where it has its copy of one of CTDB's, as it sees it."""
        line, = [line for line in self.ctdb("-X", "getdbmap").splitlines()
                 if f"|{name}|" in line]
        return line.split("|")[3]

    def service(self, name, *orders, **kwargs):
        """start, stop, status; each succeeds."""
        for order in orders:
            self.run("/bed/etc/service", name, order, **kwargs)

    def log(self, name="samba.log"):
        """Text of one of its logs."""
        path = self.dir / "log" / name
        return path.read_text("utf-8", "replace") if path.exists() else ""


def read_ready(argv, log, **kwargs):
    """Start init.py; return its host process id once it says ready."""
    with open(log, "ab") as errors:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=errors,
                                 start_new_session=True, **kwargs)
    _reap_later.append(child)
    with child.stdout:
        line = child.stdout.readline().decode()
    if not line.startswith("ready "):
        child.wait()
        raise BedError(f"{' '.join(argv)}: not ready, see {log}")
    return int(line.split()[1])


def write_life(directory, pid):
    """Note which process and which namespaces a node, client or bed is."""
    life = {f"ns_{kind}": proc.namespace(pid, kind) for kind in KINDS}
    life.update(pid=pid, start=proc.start_time(pid))
    fresh = directory / "life.json.new"
    fresh.write_text(json.dumps(life), "utf-8")
    fresh.rename(directory / "life.json")


def read_life(directory):
    """The opposite; None when it never lived."""
    try:
        return json.loads((directory / "life.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None


_reap_later = []                # keeps Popen objects alive; poll() reaps


def reap():
    """Collect launchers whose namespace has ended."""
    _reap_later[:] = [c for c in _reap_later if c.poll() is None]
