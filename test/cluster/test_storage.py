# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that fail: a bad sector is an error of one file, a dead LUN is a
move, a LUN that is dead everywhere is a pause and then Init."""

import re

import pytest

from bed import checks, proc
from drive import Session, Stream, Volume
from drive.session import IO_DEVICE_ERROR

BAD_AT = 512 * 1024             # of 1 MiB
AT_ONCE_MS = 3000               # two busy cores
WAIT_LIMIT_S = 10


@pytest.fixture(name="disk")
def _disk(bed):
    """The LUN "disk", which can have bad sectors and be blocked."""
    if "disk" not in bed.luns:
        bed.add_lun("disk", size="512M", store="btrfs")
    return bed.luns["disk"]


@pytest.fixture(name="volume")
def _volume(bed, disk):
    """A volume on it that lets clients wait 10 s, with the share files."""
    volume = Volume(bed, "disk")
    volume.add(preferred=(0, 2, 1), wait_limit=WAIT_LIMIT_S)
    volume.make_share("files")
    volume.check(bed.node(1))
    yield volume
    disk.heal()
    volume.remove()
    proc.wait_until("disk is free", lambda: not checks.mounts(bed, "disk"),
                    30)


def make_bad_file(bed, disk, volume):
    """A file of 1 MiB in the share whose 4 KiB at BAD_AT cannot be read."""
    owner = volume.owner()
    path = f"{volume.path}/files/bad"
    owner.run("dd", "if=/dev/urandom", f"of={path}", "bs=1M", "count=1",
              "oflag=direct", "status=none")
    owner.run("chmod", "0666", path)
    owner.run("sync", "-f", path)
    extents = owner.run("filefrag", "-v", "-b4096", path).stdout
    found = [tuple(map(int, match)) for match in re.findall(
        r"^\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+(\d+)\.\.", extents, re.MULTILINE)]
    block = BAD_AT // 4096
    at, = [physical + block - first for first, last, physical in found
           if first <= block <= last]
    disk.bad_sector(at * 4096)
    owner.run("dd", f"of={path}", "oflag=nocache", "conv=notrunc,fdatasync",
              "count=0", "if=/dev/null", "status=none")


@pytest.mark.parametrize("number", [1, 2])
def test_bad_sector_is_said(bed, disk, volume, number):
    """Direct and redirected: EIO for who reads or changes that sector, at
    once; everything else goes on, nothing moves."""
    make_bad_file(bed, disk, volume)
    epoch = volume.epoch()
    with Stream(bed.client, "files", "beside", [bed.node(2)],
                verify_through=bed.node(1)) as stream, \
            Session(bed.clients[1], bed.node(number), "files") as smb:
        stream.mark("bad")
        bad = smb.open("bad").must()
        smb.read(bad, BAD_AT, 100).must(IO_DEVICE_ERROR, AT_ONCE_MS)
        smb.write(bad, BAD_AT + 7, b"part").must(IO_DEVICE_ERROR, AT_ONCE_MS)
        smb.read(bad, 0, 100).must(within_ms=AT_ONCE_MS)
        smb.write(bad, BAD_AT, bytes(4096)).must(within_ms=AT_ONCE_MS)
        smb.read(bad, BAD_AT, 100).must(within_ms=AT_ONCE_MS)
        start = stream.status()["blocks_written"]
        proc.wait_until("20 more blocks", lambda: stream.status()
                        ["blocks_written"] > start + 20, 20, 0.1)
    stream.assert_whole()
    assert stream.gap_ms("bad") < AT_ONCE_MS
    assert volume.epoch() == epoch
    volume.check(bed.node(1))
