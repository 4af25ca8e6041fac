# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything else that a client does while the volume moves: names, ACLs,
streams, listings, server-side copies, byte-range locks, and waiting."""

import contextlib
import os
import signal
import time

import pytest

from bed import faults, proc
from drive import Running, Session, Stream

PAUSE_S = 60 if os.environ.get("SOFS_SOAK") else 20
ECHO_MS = 100
CSVD_PORT = 4450
POLL, EPOLL_WAIT = "7", "232"   # the system calls' numbers


def test_operations_across_moves(bed, volume):
    """Rounds of create, rename, ACL, EA, stream, copy, and an open listing,
    through a node that never owns the volume."""
    with Running(bed.client, "ops", "vms", "ops", [bed.node(2)]) as ops:
        rounds = ops.command("status", "status").get("rounds", 0)
        for target in (3, 1, 3, 1):
            volume.move(bed.node(target))
        proc.wait_until("a whole round after the last move", lambda:
                        ops.command("status", "status").get("rounds", 0)
                        > rounds + 1, 120, 0.5)
    ops.assert_no_error()
    assert ops.report["rounds"] >= 2


def test_operations_when_the_owner_dies(bed, volume):
    """The same when the owner is killed in the middle. The operation that is
    inside the VFS just then holds its smbd until there is a new owner; the
    client is as patient with its ECHO as Windows is, not 1.5 s."""
    with Running(bed.client, "ops", "vms", "ops2", [bed.node(2)],
                 options=["--echo-timeout-ms", "15000"]) as ops:
        epoch = volume.epoch()
        faults.kill(bed.node(1))
        volume.wait_active(nodes=[bed.node(2), bed.node(3)], after=epoch)
        rounds = ops.command("status", "status").get("rounds", 0)
        proc.wait_until("a whole round after it", lambda:
                        ops.command("status", "status").get("rounds", 0)
                        > rounds + 1, 120, 0.5)
    ops.assert_no_error()


def test_byte_range_locks_across_moves(bed, volume):
    """Locks hold against another client before, while and after."""
    with Running(bed.client, "locks", "vms", "locked", [bed.node(2)]) as lk:
        for target in (3, 1):
            volume.move(bed.node(target))
            lk.command("check", "checked", 30)
    lk.assert_no_error()
    assert lk.report["ranges_stolen"] == 0
    assert lk.report["probes"] == lk.report["probes_refused"] > 0


@pytest.mark.quiet
def test_a_paused_volume_freezes_nobody(bed, volume):
    """50 requests wait for 60 s outside the VFS: ECHO and another share go
    on, a lease break that another node causes is answered, then everything
    completes."""
    bed.share("other", bed.shared_dir("other"))
    with Running(bed.client, "outstanding", "vms", "many", [bed.node(2)],
                 options=["--more-shares", "other", "--count", "50"]) as out:
        bed.fence_mode("fail")
        faults.kill(bed.node(1))
        proc.wait_until("vol1 is not Active", lambda: volume.state(
            bed.node(2))["state"] != "Active", 20, 0.1)
        out.command("mark paused", "marked")
        first = out.command("status", "status")
        began = time.monotonic()
        proc.wait_until("the pause has lasted", lambda: time.monotonic()
                        - began >= PAUSE_S and out.running(), 2 * PAUSE_S, 1)
        with Session(bed.clients[1], bed.node(3), "other") as smb:
            smb.open("many-leased", create=False).must(within_ms=5000)
        paused = out.command("status", "status")
        assert paused["completed"] == first["completed"]
        assert paused["outstanding"] == 50
        bed.fence_mode("succeed")
        volume.wait_active(nodes=[bed.node(2), bed.node(3)])
        out.command("mark after", "marked")
        proc.wait_until("requests complete again", lambda: out.command(
            "status", "status")["completed"] > 50, 20, 0.2)
    out.assert_no_error()
    event = out.event("paused")
    assert event["longest_echo_ms"] < ECHO_MS
    assert event["lease_breaks"] == 1 and event["longest_break_ack_ms"] < 1000
    assert out.report["lease_granted"]
    assert event["other_ios"] > 0 and event["longest_other_io_ms"] < 1000
    assert out.report.get("reconnects", 0) == 0


@pytest.mark.quiet
def test_an_owner_that_is_silent_freezes_nobody(bed, volume):
    """smbd must find the way to a new owner that its packets do not reach,
    then to one whose csvd is stopped: ECHO and another share go on."""
    bed.share("other", bed.shared_dir("other"))
    with Running(bed.client, "outstanding", "vms", "silent", [bed.node(2)],
                 options=["--more-shares", "other", "--count", "50"]) as out:
        def lasts(event, seconds):
            """An event of so many seconds, in which nothing completes."""
            first = out.command("status", "status")
            proc.wait_until(f"{event} has lasted", lambda: out.command(
                "status", "status")["echoes"] - first["echoes"]
                >= seconds * 2, seconds * 4, 0.1)
            last = out.command("status", "status")
            assert last["completed"] == first["completed"]
            assert last["outstanding"] == 50
        faults.cut_port(bed.node(2), bed.node(3), CSVD_PORT)
        out.command("mark unreachable", "marked")
        volume.move(bed.node(3))
        lasts("unreachable", 6)
        out.command("mark stopped", "marked")
        faults.kill_csvd(bed.node(3), signal.SIGSTOP)
        faults.join(bed)
        lasts("stopped", 3)
        faults.kill_csvd(bed.node(3), signal.SIGCONT)
        volume.wait_active(nodes=[bed.node(2), bed.node(3)])
        out.command("mark after", "marked")
        proc.wait_until("requests complete again", lambda: out.command(
            "status", "status")["completed"] > 50, 20, 0.2)
    out.assert_no_error()
    for name in ("unreachable", "stopped"):
        event = out.event(name)
        assert event["longest_echo_ms"] < ECHO_MS, name
        assert event["other_ios"] > 0, name
        assert event["longest_other_io_ms"] < 1000, name
    assert out.report.get("reconnects", 0) == 0


def is_inside(pid):
    """For half a second it is not in its event loop, which waits in
    epoll_wait: it waits in poll, and asks ctdbd now and then."""
    calls, until = set(), time.monotonic() + 0.5
    while time.monotonic() < until:
        call = proc.stacks(pid)[0].partition(", call ")[2].split(" ")[0]
        if call in ("", EPOLL_WAIT):    # it has gone, or back to its loop
            return False
        calls.add(call)
        time.sleep(0.02)
    return POLL in calls


@contextlib.contextmanager
def inside_a_request(bed, node, owner):
    """An open whose first call to the owner is not answered: its smbd, a
    process id, waits in that call and not in its event loop."""
    before = node.pids("smbd")
    with Session(bed.client, node, "vms") as session:
        session.open("inside").must()
        pid = [p for p in node.serving() if p not in before][0]
        faults.cut_port(node, owner, CSVD_PORT)
        try:
            session.begin("open", "inside too", 0, None, True)
            proc.wait_until("it waits", lambda: is_inside(pid), 10, 0.05)
            yield pid
        finally:
            faults.join(bed)


@contextlib.contextmanager
def inside_a_paused_request(bed, volume, node):
    """The same; then the owner, node1, dies, and nobody can fence it."""
    bed.fence_mode("fail")
    with inside_a_request(bed, node, bed.node(1)) as smbd:
        faults.kill(bed.node(1))
        proc.wait_until("vol1 is not Active", lambda: volume.state(
            node)["state"] != "Active", 20, 0.1)
        assert is_inside(smbd)
        yield smbd
    bed.fence_mode("succeed")


def test_stop_while_paused(bed, volume):
    """`ctdb shutdown` of the client's node ends although the volume is
    paused and an smbd is in the middle of a request, and the client goes on
    elsewhere with the same ClientGuid."""
    with Stream(bed.client, "vms", "stopped", [bed.node(2), bed.node(3)],
                verify_through=bed.node(3)) as stream:
        with inside_a_paused_request(bed, volume, bed.node(2)):
            bed.node(2).stop_daemons(timeout=20)
        proc.wait_until("one of three does not decide", lambda: "majority"
                        in volume.reason(bed.node(3)), 20, 0.1)
        bed.node(2).start_daemons()
        volume.wait_active(nodes=[bed.node(2), bed.node(3)])
    stream.assert_whole()
    assert stream.report["reconnects"] > 0


def wait_ended(node, smbd):
    """It does not wait for what its request waits for."""
    proc.wait_until("it has ended", lambda: smbd not in node.pids("smbd"),
                    10, 0.05)


def test_waiting_smbd_ends_with_its_parent(bed, volume):
    """In the middle of a request that its owner, which lives, does not
    answer."""
    node = bed.node(2)
    with inside_a_request(bed, node, volume.owner()) as smbd:
        faults.signal_all(node, "smbd", signal.SIGTERM)
        wait_ended(node, smbd)


def test_waiting_smbd_ends_when_its_node_is_banned(bed, volume):
    """In the middle of a request for a volume that is paused."""
    node = bed.node(2)
    with inside_a_paused_request(bed, volume, node) as smbd:
        node.ctdb("ban", "60")
        wait_ended(node, smbd)
    node.ctdb("unban")
    volume.wait_active(nodes=[node, bed.node(3)])
