# SPDX-License-Identifier: GPL-3.0-or-later
"""One smbd for the client's tests, alone in namespaces of its own."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parents[2]
SAMBA = pathlib.Path(os.environ.get("SOFS_SAMBA", "/var/cache/sofs/dev"))
PREFIX = SAMBA / "prefix"
BUILD = pathlib.Path(os.environ.get("SOFS_BUILD", TOP / "build"))
CLIENT = pathlib.Path(os.environ.get("SMB3CLIENT",
                                     BUILD / "test/smb3client"))
PASSWORD = "namespace-only"
USER = "daemon"

CONF = """
[global]
	netbios name = SOLO
	server role = standalone server
	interfaces = lo
	bind interfaces only = yes
	disable netbios = yes
	smb ports = 445
	server min protocol = SMB3_11
	private dir = {top}/private
	lock directory = {top}/lock
	state directory = {top}/state
	cache directory = {top}/cache
	pid directory = {top}/run
	ncalrpc dir = {top}/run/ncalrpc
	log file = {top}/smbd.log
	log level = 1
	load printers = no
	disable spoolss = yes
	rpc start on demand helpers = no
	persistent handles = yes
	posix locking = no
	kernel share modes = no
	kernel oplocks = no
	vfs objects = acl_xattr streams_xattr
	read only = no
[ca]
	path = {top}/data
	continuous availability = yes
	durable handles = yes
[plain]
	path = {top}/plain
"""

# Makes the namespaces; their first process ends with us, however we end, and
# all with it. (unshare(1) of Debian 12 fails now and then after its fork:
# "sigprocmask unblock failed".)
HOLDER = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
NEWNET, NEWNS, NEWPID = 0x40000000, 0x20000, 0x20000000
if libc.unshare(NEWNET | NEWNS | NEWPID) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    sys.exit()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
libc.prctl(1, signal.SIGKILL)
outside = os.readlink("/proc/self")
libc.mount(b"none", b"/", None, 0x44000, None)
if libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print(outside, flush=True)
sys.stdin.read()
"""


def wait_for(what, seconds=60):
    """Poll what() until it is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"{what.__name__}: not in {seconds} s"
        time.sleep(0.02)


class Server:
    """smbd in its own network, mount and PID namespaces."""

    def __init__(self, top):
        self.top, self.smbd = top, None
        for name in ("private", "lock", "state", "cache", "run", "data",
                     "plain"):
            (top / name).mkdir()
        for name in ("data", "plain"):
            (top / name).chmod(0o777)
        self.conf = top / "smb.conf"
        self.conf.write_text(CONF.format(top=top))
        self.holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.init = int(self.holder.stdout.readline())
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", "127.0.0.2/8", "dev", "lo")
        subprocess.run(
            [*self.inside(), PREFIX / "bin/smbpasswd", "-c", self.conf, "-s",
             "-a", USER], input=f"{PASSWORD}\n{PASSWORD}\n", text=True,
            check=True, capture_output=True)

    def inside(self):
        return ["nsenter", "-t", str(self.init), "-n", "-m", "-p"]

    def run(self, *argv):
        return subprocess.run([*self.inside(), *argv], check=True, text=True,
                              capture_output=True).stdout

    def start(self):
        # pylint: disable=consider-using-with
        self.smbd = subprocess.Popen(
            [*self.inside(), PREFIX / "sbin/smbd", "-s", self.conf,
             "--foreground", "--no-process-group"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.listening)

    def listening(self):
        return self.run("ss", "-Hltn", "sport = :445")

    def stop(self, how=signal.SIGTERM):
        """All of smbd: the parent and every child."""
        victims = self.pids()
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):   # it just ended
                os.kill(pid, how)
        self.smbd.wait(20)
        # Until the last is reaped: Samba takes a zombie for the living
        # owner of a handle and refuses the reconnect.
        wait_for(lambda: not self.pids() and not any(
            os.path.exists(f"/proc/{pid}") for pid in victims))

    def pids(self, title="smbd"):
        """Processes (host's numbers) in our PID namespace, by title."""
        ours = os.readlink(f"/proc/{self.init}/ns/pid")
        found = []
        for name in os.listdir("/proc"):
            try:
                if (name.isdigit() and
                        os.readlink(f"/proc/{name}/ns/pid") == ours and
                        title in pathlib.Path(
                            f"/proc/{name}/cmdline").read_text("utf-8")):
                    found.append(int(name))
            except OSError:
                continue
        return found

    def client_process(self):
        """The smbd child that has the first connection."""
        return self.pids("smbd: client")

    def close(self):
        self.holder.communicate()


@pytest.fixture
def server():
    if os.geteuid() != 0:
        pytest.skip("needs root for namespaces")
    assert CLIENT.exists(), f"{CLIENT} is not built"
    # Not pytest's: another run takes the right to enter it from our user.
    top = pathlib.Path(tempfile.mkdtemp(prefix="smb3client-"))
    top.chmod(0o755)
    srv = None
    try:
        srv = Server(top)
        srv.start()
        yield srv
    finally:
        if srv is not None:
            srv.close()
        shutil.rmtree(top, ignore_errors=True)
