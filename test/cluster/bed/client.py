# SPDX-License-Identifier: GPL-3.0-or-later
"""A client: a network namespace of its own on the bed's bridge."""

import os
import signal
import subprocess

from . import moved, net, ns, proc, remains, samba
from .errors import BedError
from .node import INIT, read_life, read_ready, write_life


class Client:
    """Commands run here see the host's files and the bed's network."""

    def __init__(self, bed, number):
        self.bed, self.number = bed, number
        self.name = f"client{number}"
        self.dir = bed.dir / self.name
        self.address = net.client_address(number)
        self.cable = f"c{number}"

    @property
    def pid(self):
        """Host process id of the process that holds its namespace."""
        life = read_life(self.dir)
        if life is None or not proc.is_alive(life["pid"], life["start"]):
            raise BedError(f"{self.name} is off")
        return life["pid"]

    def start(self):
        """Make its namespace and plug it in."""
        self.dir.mkdir(exist_ok=True)
        argv = ns.enter_argv(self.bed.pid, "mpn") + [
            "unshare", "--net", "--", "/usr/bin/python3", "-I", str(INIT),
            "client", str(self.bed.dir)]
        pid = read_ready(argv, self.dir / "init.log",
                         env=remains.marked(self.bed.dir))
        write_life(self.dir, pid)
        net.plug(self.bed.pid, pid, self.cable, [
            self.address, net.client_cluster_address(self.number)])
        (self.dir / "smb.conf").write_text(
            "[global]\n\tworkgroup = BED\n\tclient min protocol = SMB3_11\n"
            f"\tlock directory = {self.dir}\n"
            f"\tstate directory = {self.dir}\n"
            f"\tcache directory = {self.dir}\n"
            f"\tprivate dir = {self.dir}\n\tpid directory = {self.dir}\n"
            f"\tlog file = {self.dir}/log.%m\n", "utf-8")

    def popen(self, *argv, **kwargs):
        """Start a command; it dies with the thread that calls this."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        path = samba.path_of(self.bed.config["prefix"],
                             str(self.bed.dir / "bin"))
        env = {**remains.marked(self.bed.dir), "PATH": path,
               "SMB_CONF_PATH": str(self.dir / "smb.conf")}
        return subprocess.Popen(
            ns.enter_argv(self.pid, "n") + [str(a) for a in argv],
            start_new_session=True, preexec_fn=ns.die_with_parent,
            env=env, **kwargs)

    def run(self, *argv, check=True, timeout=60, data=None):
        """Run a command: CompletedProcess; BedError as in Node.run."""
        with self.popen(*argv, stdout=subprocess.PIPE, text=True,
                        stderr=subprocess.PIPE,
                        stdin=subprocess.PIPE) as child:
            try:
                out, err = child.communicate(data, timeout)
            except BaseException as why:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                if isinstance(why, subprocess.TimeoutExpired):
                    raise BedError(f"{self.name}: {argv[0]}: no end within "
                                   f"{timeout} s") from None
                raise
        if check and child.returncode != 0:
            raise BedError(f"{self.name}: {' '.join(map(str, argv))}: exit "
                           f"{child.returncode}: {out}{err}".rstrip())
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def smbclient(self, host, share, commands, user="alice", check=True,
                  timeout=60):
        """Run smbclient commands against //host/share."""
        word = samba.USERS[user][1]
        done = self.run("smbclient", "-s", self.dir / "smb.conf",
                        f"//{host}/{share}", "-U", f"{user}%{word}",
                        "-c", commands, check=check, timeout=timeout)
        self.bed.moved.append(moved.of_smbclient(
            share, host, commands, done.returncode == 0))
        return done
