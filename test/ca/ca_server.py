# SPDX-License-Identifier: GPL-3.0-or-later
"""One smbd that grants persistent handles, its shares on an XFS of its own.

[ca] has the module; [short] and [long] differ in how long they keep handles;
[plain] promises nothing.
A client of it is one ClientGuid that comes back after its smbd was killed.
"""
import errno
import fcntl
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(TOP / "test/park"))

# pylint: disable=wrong-import-position
import smb2raw as raw  # noqa: E402
from park_server import (  # noqa: E402
    GLOBAL, PREFIX, Server, compiled_module, until)

BUILD = pathlib.Path(os.environ.get("SOFS_BUILD", TOP / "build"))
SHARE = """
	path = {top}/share
	read only = no
	durable handles = yes
	continuous availability = yes
"""
SERVING = "smbd: client"
SHORT = 4
CONF = (GLOBAL + "	persistent handles = yes\n"
        "[ca]" + SHARE + "	vfs objects = acl_xattr streams_xattr ca\n"
        "[short]" + SHARE + f"	ca:timeout = {SHORT}\n"
        "[long]" + SHARE + "	ca:timeout = 5000\n"
        "[plain]" + SHARE.replace("= yes", "= no"))
GOING_DOWN = 0x8004587D  # XFS_IOC_GOINGDOWN
WITHOUT_LOG = struct.pack("<I", 2)
FILE_NOT_AVAILABLE = 0xC0000467
NOT_GRANTED = 0xC0000055
LOCK_CONFLICT = 0xC0000054
NOT_LOCKED = 0xC000007E
NAME_NOT_FOUND = 0xC0000034
FILE_CLOSED = 0xC0000128
SHARING_VIOLATION = 0xC0000043
COLLISION = 0xC0000035
USER = "daemon"


def shell(*argv):
    """A command's output."""
    return subprocess.run(argv, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def persistent_create(name, guid=None, **kwargs):
    """A CREATE for a persistent handle, and its CreateGuid."""
    guid = guid or os.urandom(16)
    return raw.create_body(
        name, context=raw.persistent_context(guid), **kwargs), guid


def instance_create(name, instance, version=None, guid=None):
    """A CREATE for an instance of an application, for it alone."""
    return raw.create_body(name, share=0, context=raw.chain_contexts(
        raw.persistent_context(guid or os.urandom(16)),
        raw.instance_context(instance, version)))


def is_persistent(reply):
    """Has it become one? Its CREATE must have succeeded."""
    assert reply.status == 0, hex(reply.status)
    answer = raw.create_contexts(reply).get(b"DH2Q")
    return answer is not None and struct.unpack("<II", answer)[1] == 2


def _is_free(device):
    """No file system is mounted from it, anywhere."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as err:
        if err.errno != errno.EBUSY:
            raise
        return False
    return True


class CaServer(Server):
    """smbd; its share is a mount of a loop device."""
    conf_text = CONF

    def __init__(self, top):
        super().__init__(top, conf=self.conf_text)
        self.share, self.loop = top / "share", None

    def add_modules(self, folder):
        """Ours."""
        (folder / "ca.so").symlink_to(BUILD / "modules/ca.so")

    def use_xfs(self):
        """A fresh file system below the share."""
        image = self.top / "image"
        with open(image, "wb") as file:
            file.truncate(1 << 30)
        self.loop = shell("losetup", "--find", "--show", str(image))
        shell("mkfs.xfs", "-q", self.loop)
        self.mount()

    def mount(self):
        """Once more, after a power cut."""
        shell("mount", self.loop, str(self.share))

    def umount(self):
        """Waits for io that ended processes have left, and for a mount
        namespace that begins just now with a copy of the mount."""
        until(lambda: subprocess.run(["umount", str(self.share)],
                                     check=False).returncode == 0)
        until(lambda: _is_free(self.loop))

    def open_files(self):
        """What locking.tdb says, lost handles included."""
        said = []
        until(lambda: self._smbstatus(said))
        return json.loads(said[-1])["open_files"]

    def _smbstatus(self, said):
        """Not when the smbd that was killed died in a transaction and no other
        has been at the database since, which smbstatus opens to read only."""
        done = subprocess.run(
            [str(PREFIX / "bin/smbstatus"), "-s", str(self.conf), "--locks",
             "--json"], capture_output=True, text=True, check=False)
        said.append(done.stdout)
        return done.returncode == 0

    def drop_xfs(self):
        """What use_xfs() made."""
        if self.loop is None:
            return
        if os.path.ismount(self.share):
            self.umount()
        shell("losetup", "--detach", self.loop)

    def power_cut(self):
        """Nothing more reaches the disk, the log neither."""
        folder = os.open(self.share, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, GOING_DOWN, WITHOUT_LOG)
        finally:
            os.close(folder)

    def stop(self):
        """Until its last process, which may be the scavenger, has gone: it
        holds the mount."""
        session = str(self.process.pid)
        took = super().stop()
        return took + until(lambda: subprocess.run(
            ["pgrep", "-s", session], stdout=subprocess.DEVNULL,
            check=False).returncode == 1)

    def restart_after_power_cut(self):
        """The file system as the next owner finds it; smbd is stopped."""
        self.stop()
        self.umount()
        self.mount()

    def flushes(self):
        """How many the device has had."""
        name = pathlib.Path(self.loop).name
        return int(pathlib.Path(
            f"/sys/block/{name}/stat").read_text("ascii").split()[15])


class DyingServer(CaServer):
    """smbd, of which the process that serves a client can be killed in the
    middle of a CREATE (vfs_die_test.c), also without vfs_ca: [ca] and
    [without]. Its clients are not root."""
    conf_text = CONF.replace(" ca\n", " ca die_test\n") + (
        "[without]" + SHARE + "	vfs objects = acl_xattr streams_xattr "
        "die_test\n[global]\n	die:file = {top}/die\n")

    def __init__(self, top):
        super().__init__(top)
        subprocess.run(
            [PREFIX / "bin/smbpasswd", "-c", self.conf, "-s", "-a", USER],
            input=b"secret\nsecret\n", check=True, stdout=subprocess.DEVNULL)
        (top / "share").chmod(0o777)

    def connect(self, **kwargs):
        """A client."""
        return raw.Connection(self.port, USER, "secret", **kwargs)

    def add_modules(self, folder):
        """And the one that kills."""
        super().add_modules(folder)
        shutil.copy(compiled_module(HERE / "vfs_die_test.c"), folder)

    def die(self, client, point, body):
        """The client's smbd, when it is at this point of the CREATE; the
        client is connected again."""
        point_file = self.top / "die"
        point_file.write_text(point)
        client.conn.send((raw.CREATE, client.tid, body))
        until(lambda: not client.children & self.children())
        assert not point_file.exists()
        client.conn.close()
        client.connect()


class Client:
    """Persistent handles of one client, which comes back."""

    def __init__(self, server, share="ca"):
        self.server, self.share = server, share
        self.guid, self.conn, self.tid = os.urandom(16), None, None
        self.children = set()
        self.connect()

    def connect(self):
        """On a new connection, with an smbd of its own."""
        before = self.server.children(SERVING)
        previous = self.conn.session if self.conn else 0
        self.conn = self.server.connect(guid=self.guid, previous=previous)
        self.tid = self.conn.tree(self.share)
        self.children = self.server.children(SERVING) - before
        assert len(self.children) == 1

    def crash(self):
        """The smbd that serves us is killed."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not self.children & self.server.children())
        self.conn.close()

    def call(self, command, body, **kwargs):
        """One request's answer."""
        return self.conn.call(command, self.tid, body, **kwargs)

    def ok(self, command, body, **kwargs):
        """One that must succeed."""
        reply = self.call(command, body, **kwargs)
        assert reply.status == 0, hex(reply.status)
        return reply

    def open(self, name, persistent=True, timeout=0, **kwargs):
        """A File."""
        guid = os.urandom(16)
        if persistent:
            kwargs["context"] = raw.persistent_context(guid, timeout)
        reply = self.ok(raw.CREATE, raw.create_body(name, **kwargs))
        assert is_persistent(reply) == persistent
        return File(self, name, raw.file_id(reply), guid,
                    raw.create_contexts(reply))


class File:
    """An open handle."""

    def __init__(self, client, name, handle, guid, contexts):
        self.client, self.name, self.handle = client, name, handle
        self.guid, self.contexts = guid, contexts

    def timeout(self):
        """Milliseconds for which the server keeps the handle."""
        return struct.unpack("<II", self.contexts[b"DH2Q"])[0]

    def try_reconnect(self):
        """The status of a reconnect."""
        reply = self.client.call(raw.CREATE, raw.create_body(
            self.name, disposition=1,
            context=raw.reconnect_context(self.handle, self.guid)))
        if reply.status == 0:
            self.handle = raw.file_id(reply)
        return reply.status

    def come_back(self):
        """After the client's smbd was killed."""
        self.client.crash()
        self.client.connect()
        assert self.try_reconnect() == 0

    def write(self, offset, data, through=False):
        """Must succeed."""
        return self.client.ok(raw.WRITE, raw.write_body(
            self.handle, offset, data, int(through)))

    def flush(self):
        """Must succeed."""
        return self.client.ok(raw.FLUSH, raw.flush_body(self.handle))

    def lock(self, offset, size, flags=0x12, sequence=0):
        """The status."""
        return self.client.call(raw.LOCK, raw.lock_body(
            self.handle, offset, size, flags, sequence)).status

    def close(self):
        """Must succeed."""
        return self.client.ok(raw.CLOSE, raw.close_body(self.handle))
