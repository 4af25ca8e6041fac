# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent handles whose smbd was killed: their locks, their time."""
import struct
import time

import smb2raw as raw
from ca_server import (Client, FILE_NOT_AVAILABLE, LOCK_CONFLICT,
                       NAME_NOT_FOUND, NOT_GRANTED, NOT_LOCKED, SHORT)
from park_server import until

UNLOCK, WAIT = 4, 2
# What a loaded machine may be late.
LATE = 5


def test_timeout_is_the_shares(server):
    """ca:timeout, or what the client asks for, at most 300 s."""
    for share, asked, granted in (
            ("short", 0, SHORT * 1000), ("short", 60000, SHORT * 1000),
            ("long", 60000, 5000000),
            ("ca", 0, 60000), ("ca", 5000, 5000), ("ca", 400000, 300000)):
        file = Client(server, share).open(f"{share}{asked}", timeout=asked)
        assert file.timeout() == granted, (share, asked)


def test_locks_wait_for_their_handle(server):
    """Nobody takes, reads or writes what a lost handle has locked; it has
    the lock when it is back."""
    file = Client(server).open("file")
    other = Client(server).open("file", False)
    file.write(0, b"mine")
    assert file.lock(0, 10) == 0
    file.client.crash()
    for _ in range(2):
        assert other.lock(0, 10) == NOT_GRANTED
        assert other.client.call(raw.WRITE, raw.write_body(
            other.handle, 0, b"theirs")).status == LOCK_CONFLICT
        assert other.client.call(raw.READ, raw.read_body(
            other.handle, 0, 4)).status == LOCK_CONFLICT
    assert other.lock(10, 10) == 0
    file.client.connect()
    assert file.try_reconnect() == 0
    assert other.lock(0, 10) == NOT_GRANTED
    assert raw.read_data(file.client.ok(raw.READ, raw.read_body(
        file.handle, 0, 4))) == b"mine"
    assert file.lock(0, 10, UNLOCK) == 0
    assert other.lock(0, 10) == 0


def test_reconnect_that_asks_for_more(server):
    """The Linux kernel's client sends a QFid with every CREATE."""
    file = Client(server).open("file")
    number = server.share.joinpath("file").stat().st_ino
    assert file.lock(0, 10) == 0
    file.client.crash()
    file.client.connect()
    reply = file.client.ok(raw.CREATE, raw.create_body(
        "file", disposition=1, context=raw.chain_contexts(
            raw.create_context(b"QFid", b""),
            raw.reconnect_context(file.handle, file.guid),
            raw.create_context(b"MxAc", b""))))
    answers = raw.create_contexts(reply)
    assert struct.unpack_from("<Q", answers[b"QFid"])[0] == number
    assert struct.unpack("<II", answers[b"MxAc"])[0] == 0
    file.handle = raw.file_id(reply)
    assert file.lock(0, 10, UNLOCK) == 0


def test_lock_that_waits_gets_it(server):
    """A LOCK that waits for that of a lost handle has it when the client is
    back and lets go."""
    file, other = Client(server).open("file"), Client(server).open("file",
                                                                   False)
    assert file.lock(0, 10) == 0
    conn = other.client.conn
    mid = conn.send((raw.LOCK, other.client.tid,
                     raw.lock_body(other.handle, 0, 10, WAIT)))[0]
    file.come_back()
    conn.echo()
    assert conn.find(mid) is None
    assert file.lock(0, 10, UNLOCK) == 0
    assert conn.wait(mid).status == 0


def test_locks_go_with_their_handle(server):
    """When the time is over the lock is free, and nothing is left."""
    file = Client(server).open("file", timeout=SHORT * 1000)
    other = Client(server).open("file", False)
    assert file.lock(0, 10) == 0
    file.client.crash()
    assert other.lock(0, 10) == NOT_GRANTED
    until(lambda: other.lock(0, 10) == 0, SHORT + LATE)
    other.close()
    assert server.open_files() == {}


def test_lock_is_replayed(server):
    """The same LOCK, and the same UNLOCK, again after a reconnect: done
    once."""
    file = Client(server).open("file")
    other = Client(server).open("file", False)
    assert file.lock(0, 10, sequence=0x11) == 0
    file.come_back()
    assert file.lock(0, 10, sequence=0x11) == 0
    assert file.lock(0, 10, UNLOCK, sequence=0x21) == 0
    assert other.lock(0, 10) == 0
    file.come_back()
    assert file.lock(0, 10, UNLOCK, sequence=0x21) == 0
    assert file.lock(0, 10, UNLOCK, sequence=0x22) == NOT_LOCKED


def test_created_file_is_free_after_expiry(server):
    """Its share mode entry goes with the handle, not at somebody's open."""
    file = Client(server).open("new", timeout=SHORT * 1000, share=0)
    file.client.crash()
    assert server.open_files()
    until(lambda: server.open_files() == {}, SHORT + LATE)
    Client(server).open("new", False)


def test_second_crash_has_its_own_time(server):
    """The timer of the first one does not end it."""
    file = Client(server).open("file", timeout=SHORT * 1000, share=0)
    first = time.monotonic()
    file.client.crash()
    time.sleep(SHORT * 0.6)
    file.client.connect()
    assert file.try_reconnect() == 0
    file.client.crash()
    # The first timer has fired, the second has not.
    time.sleep(first + SHORT + 0.5 - time.monotonic())
    other = Client(server)
    assert other.call(raw.CREATE, raw.create_body(
        "file")).status == FILE_NOT_AVAILABLE
    file.client.connect()
    assert file.try_reconnect() == 0
    file.client.crash()
    until(lambda: server.open_files() == {}, 2 * SHORT + LATE)
    file.client.connect()
    assert file.try_reconnect() == NAME_NOT_FOUND
