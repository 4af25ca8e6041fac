# SPDX-License-Identifier: GPL-3.0-or-later
"""One smbd with a share that can be parked (module park_test) and a plain one.

Both share one directory, so that one client's plain share gets in the way of
another's parked one. smbd runs in a mount namespace of its own, where its
module directory has park_test in it.
"""
import atexit
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def samba_directory():
    """Where the built Samba is: src/ and prefix/."""
    given = os.environ.get("SOFS_SAMBA")
    if given:
        return pathlib.Path(given)
    where = subprocess.run([HERE.parents[1] / "samba/build", "--where"],
                           stdout=subprocess.PIPE, check=True, text=True)
    return pathlib.Path(where.stdout.strip())


PREFIX = samba_directory() / "prefix"
SRC = PREFIX.parent / "src"
sys.path.insert(0, str(next(PREFIX.glob("lib/python3*/site-packages"))))

# pylint: disable=wrong-import-position
import smb2raw  # noqa: E402

GLOBAL = """
[global]
	server role = standalone server
	smb ports = {port}
	interfaces = 127.0.0.1/8
	bind interfaces only = yes
	disable netbios = yes
	server min protocol = SMB2
	server multi channel support = yes
	private dir = {top}/private
	lock directory = {top}/lock
	state directory = {top}/state
	cache directory = {top}/cache
	pid directory = {top}/run
	ncalrpc dir = {top}/run/ncalrpc
	passdb backend = tdbsam:{top}/private/passdb.tdb
	log file = {top}/log/log.%d
	log level = 1
	max log size = 0
	load printers = no
	kernel oplocks = no
	kernel share modes = no
	posix locking = no
	kernel change notify = no
	smbd async dosmode = no
	aio read size = 0
	aio write size = 0
"""
CONF = GLOBAL + """
[parked]
	path = {top}/share
	read only = no
	vfs objects = full_audit park_test
	park_test:file = {top}/parked
	full_audit:syslog = no
	full_audit:prefix = AUDIT
	full_audit:success = all !connect !disconnect
	full_audit:failure = all
[plain]
	path = {top}/share
	read only = no
"""


@functools.cache
def compiled_module(source):
    """Compiled as Samba compiles its own modules, once for all servers."""
    where = tempfile.mkdtemp(prefix="park-")
    atexit.register(shutil.rmtree, where, ignore_errors=True)
    target = pathlib.Path(where) / f"{source.stem.removeprefix('vfs_')}.so"
    database = SRC / "bin/default/compile_commands.json"
    for entry in json.loads(database.read_text()):
        if entry["file"].endswith("source3/modules/vfs_commit.c"):
            words = entry["arguments"]
            break
    words = [w for w in words if w.startswith(("-I", "-D", "-f", "-isystem"))
             and not w.startswith("-DSTATIC_")]
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", *words,
                    f"-I{HERE.parents[1]}/include", "-o", target,
                    source],
                   check=True, cwd=entry["directory"])
    return target


def free_port():
    """A port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """smbd and its directory, with the one module that a test brings."""

    def __init__(self, top, source=HERE / "vfs_park_test.c", conf=CONF):
        self.top, self.port, self.process = top, free_port(), None
        self.below = ()     # the program that runs smbd, and its arguments
        for name in ("private", "lock", "state", "cache", "run", "log",
                     "share", "vfs"):
            (top / name).mkdir()
        self.conf = top / "smb.conf"
        self.conf.write_text(conf.format(top=top, port=self.port))
        self.marker = top / "parked"
        for module in (PREFIX / "lib/vfs").glob("*.so"):
            (top / "vfs" / module.name).symlink_to(top / "real" / module.name)
        (top / "real").mkdir()
        self.source = source
        self.add_modules(top / "vfs")
        subprocess.run([PREFIX / "bin/smbpasswd", "-c", self.conf, "-s", "-a",
                        "root"], input=b"secret\nsecret\n", check=True,
                       stdout=subprocess.DEVNULL)

    def add_modules(self, folder):
        """To those of Samba, which are there."""
        shutil.copy(compiled_module(self.source), folder)

    def start(self):
        """Run smbd and wait until it listens."""
        script = ('mount --bind "$1/lib/vfs" "$2/real" && '
                  'mount --bind "$2/vfs" "$1/lib/vfs" && '
                  'prefix="$1" top="$2" && shift 2 && exec "$@" '
                  '"$prefix/sbin/smbd" -F --no-process-group -s "$top/smb.conf"')
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, "sh", PREFIX, self.top,
             *self.below], start_new_session=True)
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise RuntimeError("smbd does not listen")

    def stop(self):
        """SIGTERM; returns how long it took."""
        start = time.monotonic()
        self.process.terminate()
        self.process.wait(60)
        return time.monotonic() - start

    def control(self, *words):
        """smbcontrol to all processes of smbd."""
        subprocess.run([PREFIX / "bin/smbcontrol", "-s", self.conf, "smbd",
                        *words], check=True)

    def connect(self, **kwargs):
        """A client."""
        return smb2raw.Connection(self.port, "root", "secret", **kwargs)

    def log(self):
        """All lines of the smbd processes."""
        return "".join(path.read_text(errors="replace")
                       for path in sorted((self.top / "log").glob("log.*")))

    def log_of(self, connection):
        """Where the smbd of one connection writes: of another one that ends
        lines may still come."""
        said = subprocess.run(
            ["ss", "-Htnp", "state", "established",
             f"dport = :{connection.sock.getsockname()[1]}"],
            stdout=subprocess.PIPE, text=True, check=True).stdout
        return self.top / "log" / f"log.{re.search('pid=([0-9]+)', said)[1]}"

    def lines(self, text):
        """How often a text is in the log."""
        return self.log().count(text)

    def set_marker(self, text, wanted, status=0):
        """Park or unpark; waits until the module logged it once more."""
        before = self.lines(text)
        if wanted:
            fresh = self.top / "parked.new"
            fresh.write_text(f"{status:x}\n" if status else "")
            fresh.rename(self.marker)
        else:
            self.marker.unlink()
        until(lambda: self.lines(text) > before)

    def park(self):
        """Park the share's connections, of which there is at least one."""
        self.set_marker(" PARKED", True)

    def unpark(self):
        """And back."""
        self.set_marker("UNPARKED", False)

    def children(self, title="smbd"):
        """Processes that serve clients, and smbd's helpers; by title."""
        out = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f",
                              title], stdout=subprocess.PIPE, check=False)
        return {int(pid) for pid in out.stdout.split()}


def until(condition, timeout=10):
    """Wait for a condition; returns how long it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            raise TimeoutError(f"still not {condition}")
        time.sleep(0.01)
    return time.monotonic() - start
