# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written on a share with continuous availability is on the disk
when it is answered, at the price of one flush."""
import os
import random
import struct

import pytest

import smb2raw as raw
from ca_server import Client

BLOCK = 4096
BLOCKS = 16
# Flushes that are not ours: XFS writes its log every 30 s.
OTHERS = 2
RESUME_KEY, COPYCHUNK_WRITE = 0x140078, 0x1480F2


def flushes_of(server, what):
    """How many a function has caused."""
    before = server.flushes()
    what()
    return server.flushes() - before


def overwrite(file, through):
    """Blocks that are there: only data has to be written."""
    for number in range(BLOCKS):
        file.write(number * BLOCK, os.urandom(BLOCK), through)


def check_price(server, file):
    """Counted at the device."""
    for through in (False, True):
        count = flushes_of(server, lambda: overwrite(file, through))
        assert BLOCKS <= count <= BLOCKS + OTHERS
    count = flushes_of(server, lambda: [file.flush() for _ in range(BLOCKS)])
    assert count <= OTHERS


@pytest.mark.parametrize("persistent", [True, False])
def test_one_flush_per_write(xfs_server, persistent):
    """Also with the write-through flag; FLUSH after it costs none; so it is
    after a reconnect, which on smbd alone loses O_SYNC."""
    file = Client(xfs_server).open("file", persistent)
    overwrite(file, False)
    check_price(xfs_server, file)
    if persistent:
        file.come_back()
        check_price(xfs_server, file)


def test_flush_without_promise(xfs_server):
    """A directory's FLUSH is a real one: it was not opened write-through."""
    client = Client(xfs_server)
    folder = client.open("folder", False, options=1)
    client.open("folder/file", False).close()
    assert flushes_of(xfs_server, folder.flush) >= 1


def set_size(client, file):
    """SET_INFO"""
    client.ok(raw.SET_INFO, raw.set_size_body(file.handle, 10 * BLOCK))
    return 10 * BLOCK


def copy_block(client, file):
    """Server-side copy"""
    source = client.open("source")
    source.write(0, b"s" * BLOCK)
    key = raw.fsctl_data(client.ok(
        raw.IOCTL, raw.fsctl_body(source.handle, RESUME_KEY)))[:24]
    client.ok(raw.IOCTL, raw.fsctl_body(
        file.handle, COPYCHUNK_WRITE, key + struct.pack(
            "<IIQQII", 1, 0, 0, 0, BLOCK, 0)))
    return BLOCK


@pytest.mark.parametrize("change", [set_size, copy_block])
def test_other_changes_survive(xfs_server, change):
    """What changes data without a WRITE is stable too."""
    client = Client(xfs_server)
    file = client.open("file", False)
    file.write(0, b"f")
    size = change(client, file)
    xfs_server.power_cut()
    xfs_server.restart_after_power_cut()
    assert (xfs_server.share / "file").stat().st_size == size


def write_until_power_cut(server, file, number):
    """Returns what has been acknowledged: {offset: block}."""
    acknowledged = {}
    for _ in range(number):
        offset = random.randrange(256) * BLOCK
        block = os.urandom(BLOCK)
        file.write(offset, block)
        acknowledged[offset] = block
    server.power_cut()
    return acknowledged


def lost(server, acknowledged):
    """Offsets of blocks that are not on the disk."""
    data = (server.share / "file").read_bytes()
    return [offset for offset, block in acknowledged.items()
            if data[offset:offset + BLOCK] != block]


@pytest.mark.parametrize("how", ["plain", "persistent", "reconnected"])
def test_power_cut_loses_nothing(xfs_server, how):
    """The file system is shut down without its log right after the answer
    to a write at a random moment; all that was answered is there. 30 runs
    with 10,000 writes in the soak."""
    soak = os.environ.get("SOFS_SOAK")
    for _ in range(10 if soak else 1):
        number = random.randrange(300, 367) if soak else random.randrange(50)
        file = Client(xfs_server).open("file", how != "plain")
        if how == "reconnected":
            file.write(0, b"before")
            file.come_back()
        acknowledged = write_until_power_cut(xfs_server, file, number + 1)
        xfs_server.restart_after_power_cut()
        assert lost(xfs_server, acknowledged) == []
        if soak:
            xfs_server.start()
            (xfs_server.share / "file").unlink()
