# SPDX-License-Identifier: GPL-3.0-or-later
"""LUNs: one image file each, one loop device per node with direct I/O.

A node's loop device is attached to a hard link of the image in the node's
directory, so that the kernel itself (backing_file in sysfs) says which node
and which volume a loop device belongs to, also after the bed has died.
"""

import dataclasses
import errno
import fcntl
import os
import pathlib
import re
import stat
import struct

from . import ns, proc
from .errors import BedError

LOOP_CLR_FD = 0x4C01
LOOP_SET_STATUS64 = 0x4C04
LOOP_GET_STATUS64 = 0x4C05
LOOP_INFO_SIZE = 232
SIZELIMIT_AT = 32
GOINGDOWN = 0x8004587D          # XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2
FLUSHES, WRITES = 15, 4         # fields of /sys/block/X/stat
MKFS = {"xfs": ["mkfs.xfs", "-q", "-f"],
        "ext4": ["mkfs.ext4", "-q", "-F"],
        "btrfs": ["mkfs.btrfs", "-q", "-f"]}
# For a file system below an image, see Lun: btrfs knows a bad sector when it
# reads one, XFS writes in place.
MKFS_STORE = {"xfs": MKFS["xfs"],
              "btrfs": [*MKFS["btrfs"], "-d", "single", "-m", "single"]}
FSCK = {"xfs": ["xfs_repair", "-n", "-f"],
        "ext4": ["fsck.ext4", "-n", "-f"],
        "btrfs": ["btrfs", "check", "--readonly"]}


@dataclasses.dataclass(frozen=True)
class Loop:
    """An attached loop device."""
    name: str                   # loop7
    backing: str                # the path behind it

    @property
    def device(self):
        """Path of the block device."""
        return f"/dev/{self.name}"

    @property
    def number(self):
        """Its device number; 0 when it is not there."""
        try:
            return os.stat(self.device).st_rdev
        except FileNotFoundError:
            return 0


def _read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").rstrip("\n")
    except OSError:
        return None


def loops_under(directory):
    """All loop devices whose image lies below a bed's directory.

    The kernel names a file of a store that is no longer mounted anywhere by
    its path in the store, which begins with the bed's name.
    """
    found = []
    starts = (f"{directory}/", f"/{directory.name}/")
    for name in os.listdir("/sys/block"):
        backing = _read(f"/sys/block/{name}/loop/backing_file")
        if name.startswith("loop") and backing is not None \
                and backing.startswith(starts):
            found.append(Loop(name, backing.removesuffix(" (deleted)")))
    return found


def attach(image, enter=()):
    """Attach an image to a free loop device, direct I/O."""
    out = ns.command([*enter, "losetup", "--find", "--show",
                      "--direct-io=on", str(image)])
    name = os.path.basename(out.strip())
    if _read(f"/sys/block/{name}/loop/dio") != "1":
        detach(Loop(name, str(image)))
        raise BedError(f"{image}: its file system refuses direct I/O")
    return Loop(name, str(image))


def detach(loop):
    """Ask the kernel to detach; it does so when the last user has gone."""
    if _read(f"/sys/block/{loop.name}/loop/backing_file") != loop.backing:
        return
    try:
        fd = os.open(loop.device, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.ioctl(fd, LOOP_CLR_FD)
    except OSError:
        pass                    # already on its way
    finally:
        os.close(fd)


def detach_all(find, timeout=20):
    """Detach the loop devices that find() returns; prove that they are gone.

    A loop device is let go by the kernel only after the last mount and the
    last descriptor of it: its absence proves that no file system is left.
    """
    def gone():
        for loop in find():
            detach(loop)
        return not find()
    try:
        proc.wait_until("loop devices detached", gone, timeout)
    except BedError:
        left = ", ".join(f"{x.device} ({x.backing})" for x in find())
        raise BedError(f"still in use after {timeout} s: {left}") from None


def set_limit(loop, limit):
    """Cut the device to limit bytes (0: whole); I/O beyond it fails."""
    fd = os.open(loop.device, os.O_RDONLY)
    try:
        info = bytearray(LOOP_INFO_SIZE)
        fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
        struct.pack_into("=Q", info, SIZELIMIT_AT, limit)
        fcntl.ioctl(fd, LOOP_SET_STATUS64, bytes(info))
    finally:
        os.close(fd)


def counters(loop):
    """The device's counters from the kernel: writes, flushes."""
    text = _read(f"/sys/block/{loop.name}/stat")
    if text is None:
        raise BedError(f"{loop.name} is gone")
    fields = [int(f) for f in text.split()]
    return {"writes": fields[WRITES], "flushes": fields[FLUSHES]}


def shut_down(path):
    """Shut a file system down without flushing, as a power cut does.

    False when the file system has no such call (btrfs).
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as err:
        if err.errno == errno.EIO:
            return True         # it is shut down already
        raise
    try:
        fcntl.ioctl(fd, GOINGDOWN, struct.pack("=I", NO_LOG_FLUSH))
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


class Lun:
    """One shared disk of the bed, with the file system of a volume on it."""

    def __init__(self, bed, name, fstype="xfs", store=None):
        self.bed, self.name, self.fstype = bed, name, fstype
        self.store = store      # None, "xfs", "btrfs": own file system below

    @property
    def _directory(self):
        return self.bed.dir / "lun"

    @property
    def _store_mount(self):
        return self.bed.dir / "store" / self.name

    def _enter(self):
        return ns.enter_argv(self.bed.pid, "m") if self.store else []

    def _seen(self, path):
        """A path of the bed's mount namespace as the host reaches it."""
        return pathlib.Path(f"/proc/{self.bed.pid}/root{path}") \
            if self.store else path

    def image(self):
        """The image file (in the bed's mount namespace)."""
        return (self._store_mount if self.store else self._directory) \
            / f"{self.name}.img"

    def _link(self, node):
        if self.store:
            return (self._store_mount / self.bed.id / f"node{node}"
                    / f"{self.name}.img")
        return self.bed.dir / f"node{node}" / "lun" / f"{self.name}.img"

    def create(self, size="2G"):
        """Make the image (sparse) and its file system."""
        self._directory.mkdir(exist_ok=True)
        if self.store:
            self._make_store(size)
        image = str(self.image())
        ns.command([*self._enter(), "truncate", "-s", size, image])
        if self.fstype:
            ns.command([*self._enter(), *MKFS[self.fstype], image])

    def _make_store(self, size):
        raw = self._directory / f"{self.name}.store"
        number = int(re.match(r"\d+", size).group())
        ns.command(["truncate", "-s",
                    f"{number * 2}{size[len(str(number)):]}", str(raw)])
        ns.command([*MKFS_STORE[self.store], str(raw)])
        self._store_mount.mkdir(parents=True)
        loop = attach(raw)
        ns.command([*self._enter(), "mount", "-t", self.store, loop.device,
                    str(self._store_mount)])

    def attach(self, node):
        """Give a running node its device /dev/csv/NAME."""
        link = self._seen(self._link(node.number))
        link.parent.mkdir(exist_ok=True, parents=True)
        if not link.exists():
            os.link(self._seen(self.image()), link)
        loop = attach(self._link(node.number), self._enter())
        for path in (f"/dev/csv/{self.name}", loop.device):
            self._make_device(node.root + path, loop.number)
        return loop

    @staticmethod
    def _make_device(path, number):
        if os.path.lexists(path):
            os.unlink(path)
        os.mknod(path, stat.S_IFBLK | 0o600, number)

    def loop(self, node):
        """A node's loop device; BedError when it has none."""
        for loop in loops_under(self.bed.dir):
            if loop.backing == str(self._link(node.number)):
                return loop
        raise BedError(f"{node.name} has no device of {self.name}")

    def loops(self):
        """All nodes' loop devices: {node number: Loop}."""
        links = {str(self._link(n.number)): n.number for n in self.bed.nodes}
        return {links[loop.backing]: loop
                for loop in loops_under(self.bed.dir)
                if loop.backing in links}

    def die(self, *nodes):
        """Every I/O of these nodes (none named: of all) fails from now."""
        self._limit(nodes, 512)

    def heal(self, *nodes):
        """The opposite of die."""
        self._limit(nodes, 0)

    def _limit(self, nodes, limit):
        wanted = {n.number for n in nodes}
        for number, loop in self.loops().items():
            if wanted and number not in wanted:
                continue
            try:
                set_limit(loop, limit)
            except OSError as err:
                # its node lost power since they were listed
                if err.errno not in (errno.ENXIO, errno.ENOENT):
                    raise

    def counters(self, node):
        """Writes and flushes that the node's device has seen."""
        return counters(self.loop(node))

    def flushes(self):
        """Flushes of all nodes' devices together."""
        return sum(counters(loop)["flushes"]
                   for loop in self.loops().values())

    def fsck(self):
        """(is it clean, what the checker says); it changes nothing, and
        nobody may have it mounted."""
        try:
            return True, ns.command([*self._enter(), *FSCK[self.fstype],
                                     str(self.image())])
        except BedError as err:
            return False, str(err)

    def block(self):
        """Writes and flushes hang from now (store LUNs only)."""
        self._freeze("-f")

    def unblock(self):
        """The opposite of block."""
        self._freeze("-u")

    def _freeze(self, flag):
        if not self.store:
            raise BedError(f"{self.name}: block needs a store")
        ns.command([*self._enter(), "fsfreeze", flag,
                    str(self._store_mount)])

    def bad_sector(self, offset):
        """Reads of the 4 KiB at this offset of the LUN fail with EIO.

        A write there makes it good again, as a disk reallocates a sector.
        The image lies on btrfs and the block's bytes are changed behind its
        back: btrfs finds the wrong checksum.
        """
        if self.store != "btrfs":
            raise BedError(f"{self.name}: bad_sector needs store='btrfs'")
        ns.command([*self._enter(), "sync", "-f", str(self.image())])
        physical = self._physical(offset)
        raw = self._directory / f"{self.name}.store"
        with open(raw, "r+b", buffering=0) as handle:
            handle.seek(physical)
            block = handle.read(4096)
            handle.seek(physical)
            handle.write(bytes(b ^ 0x5A for b in block))
            os.fsync(handle.fileno())

    def _physical(self, offset):
        out = ns.command([*self._enter(), "filefrag", "-v", "-b4096",
                          str(self.image())])
        block = offset // 4096
        for match in re.finditer(r"^\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+(\d+)\.\.",
                                 out, re.MULTILINE):
            first, last, logical = map(int, match.groups())
            if first <= block <= last:
                return self._map((logical + block - first) * 4096)
        raise BedError(f"{self.name}: nothing was written at {offset} yet")

    def _map(self, logical):
        raw = self._directory / f"{self.name}.store"
        out = ns.command(["btrfs", "inspect-internal", "dump-tree", "-t",
                          "chunk", str(raw)])
        chunk = re.compile(r"CHUNK_ITEM (\d+)\).*?length (\d+).*?"
                           r"stripe 0 devid \d+ offset (\d+)", re.DOTALL)
        for start, length, physical in chunk.findall(out):
            if int(start) <= logical < int(start) + int(length):
                return int(physical) + logical - int(start)
        raise BedError(f"{self.name}: no chunk holds {logical}")
