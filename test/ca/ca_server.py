# SPDX-License-Identifier: GPL-3.0-or-later
"""One smbd that grants persistent handles, its shares on an XFS of its own.

[ca] has the module; [short] and [long] differ in how long they keep handles.
A client of it is one ClientGuid that comes back after its smbd was killed.
"""
import fcntl
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "test/park"))

# pylint: disable=wrong-import-position
import smb2raw as raw  # noqa: E402
from park_server import GLOBAL, PREFIX, Server, until  # noqa: E402

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
        "[long]" + SHARE + "	ca:timeout = 5000\n")
GOING_DOWN = 0x8004587D  # XFS_IOC_GOINGDOWN
WITHOUT_LOG = struct.pack("<I", 2)
FILE_NOT_AVAILABLE = 0xC0000467
NOT_GRANTED = 0xC0000055
LOCK_CONFLICT = 0xC0000054
NOT_LOCKED = 0xC000007E
NAME_NOT_FOUND = 0xC0000034


def shell(*argv):
    """A command's output."""
    return subprocess.run(argv, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


class CaServer(Server):
    """smbd; its share is a mount of a loop device."""

    def __init__(self, top):
        super().__init__(top, conf=CONF)
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
        """Waits for io that ended processes have left."""
        until(lambda: subprocess.run(["umount", str(self.share)],
                                     check=False).returncode == 0)

    def open_files(self):
        """What locking.tdb says, lost handles included."""
        out = shell(str(PREFIX / "bin/smbstatus"), "-s", str(self.conf),
                    "--locks", "--json")
        return json.loads(out)["open_files"]

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
        contexts = raw.create_contexts(reply)
        if persistent:
            assert struct.unpack("<II", contexts[b"DH2Q"])[1] == 2
        return File(self, name, raw.file_id(reply), guid, contexts)


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
