# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that fail: a bad sector is an error of one file, a dead LUN is a
move, a LUN that is dead everywhere is a pause and then Init."""

import re
import time

import pytest

from bed import checks, proc
from drive import Session, Stream, Volume, accounted
from drive.session import IO_DEVICE_ERROR

BAD_AT = 512 * 1024             # of 1 MiB
AT_ONCE_MS = 3000               # two busy cores
WAIT_LIMIT_S = 10
BLOCKED_S = 30


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
    with accounted(volume):
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
        stream.more_blocks()
    stream.assert_whole()
    assert stream.gap_ms("bad") < AT_ONCE_MS
    assert volume.epoch() == epoch
    volume.check(bed.node(1))


def connections(node):
    """The node's connections with the owner's csvd, by their own ports."""
    out = node.run("ss", "-Htn", "state", "established", "dport = :4450")
    return {line.split()[2] for line in out.stdout.splitlines()}


@pytest.mark.soak("a minute")
def test_disk_that_answers_late(bed, disk, volume):
    """The disk answers nothing for 30 s: no new connection, no new owner, no
    error."""
    node = bed.node(2)
    epoch, fences = volume.epoch(), len(bed.fence_log())
    with Stream(bed.client, "files", "late", [node],
                verify_through=bed.node(3)) as stream:
        before = connections(node)
        stream.mark("blocked")
        disk.block()
        try:
            proc.wait_until("the disk is late", lambda: stream.status()
                            ["silent_ms"] >= BLOCKED_S * 1000,
                            BLOCKED_S + 30, 0.5)
        finally:
            disk.unblock()
        stream.more_blocks()
        assert before and before <= connections(node)
    stream.assert_whole()
    assert stream.report["reconnects"] == 0
    assert stream.gap_ms("blocked") >= BLOCKED_S * 1000
    assert volume.epoch() == epoch and volume.owner() == bed.node(1)
    assert len(bed.fence_log()) == fences


def test_dead_lun_moves(bed, disk, volume):
    """The owner alone loses the LUN: the volume goes to a node that still
    has it; clients, direct and redirected, see a pause."""
    fences = len(bed.fence_log())
    with Stream(bed.client, "files", "redirected", [bed.node(2)],
                verify_through=bed.node(3)) as redirected, \
            Stream(bed.clients[1], "files", "direct", [bed.node(1)],
                   verify_through=bed.node(3)) as direct:
        for stream in (redirected, direct):
            stream.mark("dead")
        epoch = volume.epoch()
        disk.die(bed.node(1))
        new = volume.wait_active(after=epoch)
        assert new != bed.node(1)
        volume.check(new)
        for stream in (redirected, direct):
            stream.more_blocks()
    for stream in (redirected, direct):
        stream.assert_whole()
        print("gap in ms:", round(stream.gap_ms("dead")))
    assert len(bed.fence_log()) == fences


def test_lun_dead_everywhere_comes_back(bed, disk, volume):
    """No node can use the LUN for a while, shorter than the wait limit:
    clients wait, then go on."""
    with Stream(bed.client, "files", "waits", [bed.node(2)],
                verify_through=bed.node(3)) as stream:
        epoch = volume.epoch()
        disk.die()
        proc.wait_until("every node has failed", lambda: "every node" in
                        (volume.state()["reason"] or ""), 20, 0.1)
        assert {n["state"] for n in volume.state()["nodes"]} == {"Paused"}
        disk.heal()
        volume.wait_active(after=epoch)
    stream.assert_whole()


def gave_up(node):
    """Lines of a node's csvd that say so."""
    return [line for line in node.log("csvd.log").splitlines()
            if "volume disk" in line and "given up" in line]


def test_lun_dead_everywhere_is_init(bed, disk, volume):
    """Longer than the wait limit: an error then, not before; Init, handles
    invalid, one log line; once the LUN is back, `sofs volume move` (or
    waiting) starts it again, for new handles."""
    lines = {node: len(gave_up(node)) for node in bed.nodes}
    with Session(bed.client, bed.node(2), "files") as smb:
        kept = smb.open("kept").must()
        smb.write(kept, 0, b"data").must()
        disk.die()
        began = time.monotonic()
        smb.begin("write", kept, 0, b"more".hex())
        answer = smb.end(timeout=3 * WAIT_LIMIT_S)
        waited = time.monotonic() - began
        assert answer.status != 0 and waited >= WAIT_LIMIT_S - 1, answer
        assert waited < 2 * WAIT_LIMIT_S
        proc.wait_until("Init everywhere", lambda: {
            n["state"] for n in volume.state()["nodes"]} == {"Init"}, 10, 0.1)
        for node in bed.nodes:
            assert len(gave_up(node)) == lines[node] + 1
        assert smb.read(kept, 0, 4).status != 0
        disk.heal()
        # a start that met the dead device may still have to fail
        proc.wait_until("it can be started", lambda: volume.sofs(
            "volume", "move", "disk", "--to", 2, "--wait",
            check=False).returncode == 0 or volume.owner() == bed.node(3),
            30, 0.5)
        volume.wait_active(bed.node(3))
        assert smb.read(kept, 0, 4).status != 0
        again = smb.open("kept").must()
        assert bytes.fromhex(smb.read(again, 0, 4).must()) == b"data"
    volume.check(bed.node(3))
