# SPDX-License-Identifier: GPL-3.0-or-later
"""Patch 0001: requests for a parked share wait outside the VFS.

On an smbd without the patch all of these fail.
"""
import os
import time

import pytest
import smb2raw as raw
from park_server import until


def calls_while_parked(server):
    """The audit's lines between PARKED and UNPARKED."""
    inside, found = False, []
    assert "AUDIT|" in server.log()
    for line in server.log().splitlines():
        if " PARKED" in line:
            inside = True
        elif "UNPARKED" in line:
            inside = False
        elif inside and "AUDIT|" in line:
            found.append(line)
    return found


def pending(conn, *mids):
    """Wait for the STATUS_PENDING of each."""
    for mid in mids:
        reply = conn.wait(mid, pending=True)
        assert reply.flags & raw.ASYNC
        assert reply.async_id != 0


def unanswered(conn, *mids):
    """After an ECHO, whose answer is behind everything sent before."""
    conn.echo()
    assert [mid for mid in mids if conn.find(mid)] == []


@pytest.mark.parametrize("encrypt", [False, True])
def test_fifty_wait_while_the_rest_goes_on(server, encrypt):
    """50 writes and reads wait; ECHO and another share do not; then all are
    answered in the order of arrival with the right data and credits."""
    conn = server.connect(encrypt=encrypt)
    parked, plain = conn.tree("parked"), conn.tree("plain")
    handle = conn.open(parked, "waiting")
    other = conn.open(plain, "other")
    balance = conn.credits
    server.park()
    mids = []
    for number in range(25):
        data = bytes([number]) * 4096
        mids += conn.send((raw.WRITE, parked,
                           raw.write_body(handle, number * 4096, data)))
        mids += conn.send((raw.READ, parked,
                           raw.read_body(handle, number * 4096, 4096)))
    pending(conn, *mids)
    for number in range(20):
        assert conn.echo() < 0.1
        data = os.urandom(1000)
        start = time.monotonic()
        assert conn.call(raw.WRITE, plain, raw.write_body(
            other, number * 1000, data)).status == 0
        reply = conn.call(raw.READ, plain,
                          raw.read_body(other, number * 1000, 1000))
        assert raw.read_data(reply) == data
        assert reply.when - start < 0.2
    unanswered(conn, *mids)
    assert calls_while_parked(server) == []
    server.unpark()
    replies = [conn.wait(mid) for mid in mids]
    assert [reply.order for reply in replies] == sorted(
        reply.order for reply in replies)
    assert {reply.status for reply in replies} == {0}
    for number in range(25):
        assert raw.read_data(replies[2 * number + 1]) == (
            bytes([number]) * 4096)
    assert conn.credits == balance


def test_every_request_of_the_share_waits(server):
    """All commands that enter the VFS, TREE_DISCONNECT and LOGOFF at last."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    folder = conn.open(tid, "", options=1, access=0x81)
    server.park()
    mids = []
    for command, body in (
            (raw.CREATE, raw.create_body("new")),
            (raw.FLUSH, raw.flush_body(handle)),
            (raw.READ, raw.read_body(handle, 0, 1)),
            (raw.WRITE, raw.write_body(handle, 0, b"x")),
            (raw.LOCK, raw.lock_body(handle, 0, 1, 0x12)),
            (raw.IOCTL, raw.ioctl_body(handle)),
            (raw.QUERY_DIRECTORY, raw.query_directory_body(folder)),
            (raw.QUERY_INFO, raw.query_info_body(handle)),
            (raw.SET_INFO, raw.set_delete_body(handle)),
            (raw.CLOSE, raw.close_body(handle))):
        mids += conn.send((command, tid, body))
    pending(conn, *mids)
    last = conn.send((raw.TREE_DISCONNECT, tid, raw.simple_body()))
    last += conn.send((raw.LOGOFF, 0, raw.simple_body()))
    unanswered(conn, *mids, *last)
    assert calls_while_parked(server) == []
    assert (server.top / "share/file").exists()
    assert not (server.top / "share/new").exists()
    server.unpark()
    replies = [conn.wait(mid) for mid in mids]
    # READ came before WRITE: end of file
    assert [hex(reply.status) for reply in replies] == [
        "0x0", "0x0", "0xc0000011"] + ["0x0"] * 7
    assert [conn.wait(mid).status for mid in last] == [0, 0]
    assert not (server.top / "share/file").exists()
    assert (server.top / "share/new").exists()


def test_cancel(server):
    """CANCEL ends one waiting request, by async id, and not the others."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    server.park()
    mids = [conn.send((raw.WRITE, tid,
                       raw.write_body(handle, n, b"%d" % n)))[0]
            for n in range(4)]
    mids += conn.send((raw.CREATE, tid, raw.create_body("cancelled")))
    pending(conn, *mids)
    conn.cancel(async_id=conn.find(mids[1], True).async_id)
    conn.cancel(async_id=conn.find(mids[4], True).async_id)
    assert conn.wait(mids[1]).status == raw.CANCELLED
    assert conn.wait(mids[4]).status == raw.CANCELLED
    unanswered(conn, mids[0], mids[2], mids[3])
    server.unpark()
    assert [conn.wait(mids[n]).status for n in (0, 2, 3)] == [0, 0, 0]
    assert (server.top / "share/file").read_bytes() == b"0\x0023"
    assert not (server.top / "share/cancelled").exists()


def test_compounds_wait_as_one(server):
    """Related create, write, close; and a chain whose CREATE was done."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "old")
    server.park()
    mids = conn.send((raw.CREATE, tid, raw.create_body("chain")),
                     (raw.WRITE, tid, raw.write_body(raw.LAST_ID, 0, b"data")),
                     (raw.CLOSE, tid, raw.close_body(raw.LAST_ID)))
    pending(conn, mids[0])
    silent = conn.send(
        (raw.WRITE, tid, raw.write_body(handle, 0, b"1")),
        (raw.WRITE, tid, raw.write_body(handle, 1, b"2")),
        (raw.READ, tid, raw.read_body(handle, 0, 2)), related=False)
    mixed = conn.send((raw.ECHO, 0, raw.simple_body()),
                      (raw.CLOSE, tid, raw.close_body(handle)), related=False)
    pending(conn, mixed[1])
    assert conn.wait(mixed[0]).status == 0
    unanswered(conn, *mids, *silent, mixed[1])
    assert not any(conn.find(mid, True) for mid in silent + mids[1:])
    assert calls_while_parked(server) == []
    server.unpark()
    assert [conn.wait(mid).status for mid in mids] == [0, 0, 0]
    assert [conn.wait(mid).status for mid in silent] == [0, 0, 0]
    assert raw.read_data(conn.wait(silent[2])) == b"12"
    assert conn.wait(mixed[1]).status == 0
    assert (server.top / "share/chain").read_bytes() == b"data"


def test_cancelled_chain(server):
    """CANCEL of a chain's CREATE: the rest has no file to work on."""
    conn = server.connect()
    tid = conn.tree("parked")
    server.park()
    mids = conn.send((raw.CREATE, tid, raw.create_body("chain")),
                     (raw.CLOSE, tid, raw.close_body(raw.LAST_ID)))
    pending(conn, mids[0])
    conn.cancel(async_id=conn.find(mids[0], True).async_id)
    assert [conn.wait(mid).status for mid in mids] == [raw.CANCELLED] * 2
    assert conn.echo() < 0.1
    server.unpark()
    assert not (server.top / "share/chain").exists()


def test_parked_again_while_going_on(server):
    """Parking stops the run, unparking continues it, nothing is lost."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    mids = []
    for turn in range(5):
        server.park()
        for number in range(40):
            mids += conn.send((raw.WRITE, tid, raw.write_body(
                handle, turn * 40 + number, b"%c" % (33 + number))))
        pending(conn, mids[-1])
        server.unpark()
    assert {conn.wait(mid).status for mid in mids} == {0}
    assert (server.top / "share/file").read_bytes() == bytes(
        range(33, 73)) * 5


def test_tree_connect_waits(server):
    """A tree connect to the share waits, without STATUS_PENDING, others do
    not; it goes on later and the share works."""
    conn = server.connect()
    server.marker.touch()
    mid = conn.send((raw.TREE_CONNECT, 0, raw.tree_body("parked")))[0]
    until(lambda: server.lines("TCON WAITS") == 1)
    plain = conn.tree("plain")
    conn.open(plain, "meanwhile")
    unanswered(conn, mid)
    assert conn.find(mid, pending=True) is None
    server.marker.unlink()
    reply = conn.wait(mid)
    assert reply.status == 0
    handle = conn.open(reply.tid, "file")
    assert conn.call(raw.WRITE, reply.tid,
                     raw.write_body(handle, 0, b"x")).status == 0
    assert server.lines("TCON WAIT ENDED") == 1


def test_tree_connect_gives_up(server):
    """It fails with the module's status; CANCEL and LOGOFF end it."""
    conn = server.connect()
    server.marker.touch()
    failing = conn.send((raw.TREE_CONNECT, 0, raw.tree_body("parked")))[0]
    until(lambda: server.lines("TCON WAITS") == 1)
    fresh = server.top / "parked.new"
    fresh.write_text("c00000c9\n")
    fresh.rename(server.marker)
    assert conn.wait(failing).status == 0xC00000C9
    server.marker.write_text("")
    cancelled = conn.send((raw.TREE_CONNECT, 0, raw.tree_body("parked")))[0]
    until(lambda: server.lines("TCON WAITS") == 2)
    conn.cancel(mid=cancelled)
    assert conn.wait(cancelled).status == raw.CANCELLED
    ended = conn.send((raw.TREE_CONNECT, 0, raw.tree_body("parked")))[0]
    until(lambda: server.lines("TCON WAITS") == 3)
    assert conn.call(raw.LOGOFF, 0, raw.simple_body()).status == 0
    assert conn.wait(ended).status == raw.CANCELLED
    assert server.lines("TCON WAIT ENDED") == 3


def test_oplock_break_is_answered(server):
    """Another client's open breaks an oplock of the parked share at once."""
    conn, other = server.connect(), server.connect()
    tid, plain = conn.tree("parked"), other.tree("plain")
    handle = conn.open(tid, "file", oplock=raw.OPLOCK_BATCH)
    server.park()
    waiting = conn.send((raw.READ, tid, raw.read_body(handle, 0, 1)))[0]
    pending(conn, waiting)
    start = time.monotonic()
    mid = other.send((raw.CREATE, plain, raw.create_body("file")))[0]
    conn.wait_break()
    reply = conn.call(raw.BREAK, tid, raw.break_body(handle, 1))
    assert reply.status == 0
    assert other.wait(mid).status == 0
    assert time.monotonic() - start < 1
    unanswered(conn, waiting)
    assert calls_while_parked(server) == []
    server.unpark()
    assert conn.wait(waiting).status == 0xC0000011


@pytest.mark.parametrize("how", ["finish", "cancel"])
def test_deferred_open(server, how):
    """An open that waits for an oplock is retried only after the pause."""
    conn, other = server.connect(), server.connect()
    tid, plain = conn.tree("parked"), other.tree("plain")
    handle = other.open(plain, "file", oplock=raw.OPLOCK_BATCH)
    mid = conn.send((raw.CREATE, tid, raw.create_body("file")))[0]
    pending(conn, mid)
    other.wait_break()
    server.park()
    assert other.call(raw.BREAK, plain,
                      raw.break_body(handle, 0)).status == 0
    if how == "finish":
        unanswered(conn, mid)
        assert other.call(raw.CLOSE, plain, raw.close_body(handle)).status == 0
        unanswered(conn, mid)
        assert calls_while_parked(server) == []
        server.unpark()
        assert conn.wait(mid).status == 0
    else:
        conn.cancel(async_id=conn.find(mid, True).async_id)
        assert conn.wait(mid).status == raw.CANCELLED
        server.unpark()
        assert conn.echo() < 0.1
        assert conn.open(tid, "file")


@pytest.mark.parametrize("how", ["finish", "disconnect"])
def test_rename_that_waits_for_a_lease(server, how):
    """It goes on after the pause; it does not keep a process alive."""
    conn, other = server.connect(), server.connect()
    tid, plain = conn.tree("parked"), other.tree("plain")
    key = os.urandom(16)
    handle = conn.open(tid, "file")
    other.open(plain, "file", oplock=raw.OPLOCK_LEASE,
               context=raw.lease_context(key, 3))
    mid = conn.send((raw.SET_INFO, tid, raw.rename_body(handle, "new")))[0]
    other.wait_break()
    server.park()
    assert other.call(raw.BREAK, plain,
                      raw.lease_break_body(key, 1)).status == 0
    unanswered(conn, mid)
    unanswered(conn, mid)
    assert calls_while_parked(server) == []
    if how == "finish":
        server.unpark()
        assert conn.wait(mid).status == 0
        assert (server.top / "share/new").exists()
    else:
        children = server.children()
        conn.close()
        until(lambda: children - server.children(), 2)
        assert (server.top / "share/file").exists()


def test_waiting_lock(server):
    """A blocked LOCK that could be granted meanwhile is, after the pause."""
    conn, other = server.connect(), server.connect()
    tid, plain = conn.tree("parked"), other.tree("plain")
    mine, theirs = conn.open(tid, "file"), other.open(plain, "file")
    assert other.call(raw.LOCK, plain,
                      raw.lock_body(theirs, 0, 1, 0x12)).status == 0
    mid = conn.send((raw.LOCK, tid, raw.lock_body(mine, 0, 1, 2)))[0]
    pending(conn, mid)
    server.park()
    assert other.call(raw.LOCK, plain,
                      raw.lock_body(theirs, 0, 1, 4)).status == 0
    unanswered(conn, mid)
    assert calls_while_parked(server) == []
    server.unpark()
    assert conn.wait(mid).status == 0


def test_channel_sequence_counts_once(server):
    """Waiting requests count once: a replay finds nothing outstanding."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    server.park()
    mids = [conn.send((raw.WRITE, tid, raw.write_body(handle, n, b"a")))[0]
            for n in range(10)]
    pending(conn, *mids)
    conn.cancel(async_id=conn.find(mids[5], True).async_id)
    assert conn.wait(mids[5]).status == raw.CANCELLED
    server.unpark()
    assert {conn.wait(m).status for m in mids if m != mids[5]} == {0}
    conn.channel_sequence = 1
    assert conn.call(raw.WRITE, tid, raw.write_body(handle, 0, b"b"),
                     extra=raw.REPLAY).status == 0
    conn.channel_sequence = 0
    assert conn.call(raw.WRITE, tid, raw.write_body(
        handle, 0, b"c")).status == 0xC0000467


def test_channel_dies(server):
    """What waited on a dead channel is dropped, and replayed on another."""
    guid = os.urandom(16)
    conn = server.connect(guid=guid)
    other = server.connect(guid=guid, bind=conn)
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    server.park()
    mids = [conn.send((raw.WRITE, tid, raw.write_body(handle, n, b"a")))[0]
            for n in range(10)]
    pending(conn, *mids)
    conn.close()
    other.channel_sequence = 1
    mids = [other.send((raw.WRITE, tid, raw.write_body(handle, n, b"b")),
                       extra=raw.REPLAY)[0] for n in range(5)]
    pending(other, *mids)
    server.unpark()
    assert {other.wait(mid).status for mid in mids} == {0}
    assert (server.top / "share/file").read_bytes() == b"bbbbb"
    assert server.lines("PANIC") == 0


def test_share_closed_by_the_admin(server):
    """`smbcontrol smbd close-share`: all that waits is told so."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    server.park()
    mids = [conn.send((raw.WRITE, tid, raw.write_body(handle, n, b"a")))[0]
            for n in range(10)]
    mids += conn.send((raw.CREATE, tid, raw.create_body("new")),
                      (raw.CLOSE, tid, raw.close_body(raw.LAST_ID)))[:1]
    pending(conn, *mids)
    server.control("close-share", "parked")
    assert {conn.wait(mid).status for mid in mids} == {0xC00000C9}
    assert conn.echo() < 0.1
    assert conn.tree("plain")
    assert server.lines("PANIC") == 0


def test_disconnect_ends_the_process(server):
    """The client goes away with 50 requests waiting: its smbd ends."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    server.park()
    children = server.children()
    mids = [conn.send((raw.WRITE, tid, raw.write_body(handle, n, b"a")))[0]
            for n in range(50)]
    pending(conn, *mids)
    conn.close()
    until(lambda: children - server.children(), 2)
    assert (server.top / "share/file").read_bytes() == b""
    assert server.lines("PANIC") == 0


def test_sigterm_ends_in_time(server):
    """As `ctdb shutdown` and systemd stop it, with requests waiting."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    server.park()
    mids = [conn.send((raw.WRITE, tid, raw.write_body(handle, n, b"a")))[0]
            for n in range(50)]
    mids += conn.send((raw.TREE_CONNECT, 0, raw.tree_body("parked")))
    pending(conn, *mids[:-1])
    until(lambda: server.lines("TCON WAITS") == 1)
    children = server.children()
    assert children
    assert server.stop() < 20
    for pid in children:
        until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 20)
    assert server.lines("PANIC") == 0


def test_previous_session(server):
    """The client comes back on a new connection while its old session has
    requests waiting, as after a lost connection: that does not take long."""
    guid = os.urandom(16)
    conn = server.connect(guid=guid)
    tid = conn.tree("parked")
    handle = conn.open(tid, "file", share=0)
    server.park()
    mids = [conn.send((raw.WRITE, tid, raw.write_body(handle, n, b"a")))[0]
            for n in range(10)]
    pending(conn, *mids)
    start = time.monotonic()
    again = server.connect(guid=guid, previous=conn.session)
    assert time.monotonic() - start < 2
    assert again.open(again.tree("plain"), "file", disposition=1)
    assert server.lines("PANIC") == 0


def test_reauthentication(server):
    """A SESSION_SETUP on the same session while requests wait."""
    conn = server.connect()
    tid = conn.tree("parked")
    handle = conn.open(tid, "file")
    server.park()
    mid = conn.send((raw.WRITE, tid, raw.write_body(handle, 0, b"a")))[0]
    pending(conn, mid)
    conn.setup_session("root", "secret", 0)
    unanswered(conn, mid)
    server.unpark()
    assert conn.wait(mid).status == 0
    assert (server.top / "share/file").read_bytes() == b"a"
