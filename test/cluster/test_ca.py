# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent handles on the whole stack, ca above csv, across nodes: what
their clients have when the node that served them has died."""

import os
import shutil
import statistics
import time

import pytest

from bed import checks, faults, proc
from drive import Running, Stream
from drive.handles import Handles, come_back, raw
from drive.volume import CA_STACK
from ca_server import (COLLISION, FILE_CLOSED, FILE_NOT_AVAILABLE, HERE as CA,
                       LOCK_CONFLICT, NAME_NOT_FOUND, NOT_GRANTED,
                       instance_create, is_persistent, persistent_create)
from park_server import compiled_module

GAP_MS = 5000
BLOCK, BLOCKS = 4096, 20
UNLOCK = 4
SOAK = bool(os.environ.get("SOFS_SOAK"))
RUNS = 3 if SOAK else 2
KEPT_S, LATE_S = 8, 10


def die(bed, node):
    """It is killed; returns when CTDB has recovered without it."""
    faults.kill(node)
    bed.wait_healthy([n for n in bed.nodes if n != node])


def rejoin(bed, volume, node):
    """And is back."""
    faults.rejoin(node)
    bed.wait_healthy()
    volume.wait_active()


@pytest.mark.quiet(on="slow")
def test_clients_of_a_dead_node(bed, volume, share):
    """A stream loses nothing and waits for 5 s at most; nobody gets what the
    other client has locked, before, while it is away, and after."""
    with Stream(bed.client, share, "stream", [bed.node(2), bed.node(3)],
                verify_through=bed.node(1)) as stream, \
            Running(bed.clients[1], "locks", share, "locks",
                    [bed.node(2), bed.node(3)], options=[
                        "--verify-addresses", bed.node(1).address]) as locks:
        for number in range(RUNS):
            victim = bed.node_at(stream.status()["address"])
            was = locks.command("check", "checked", 60)["reconnects"]
            stream.mark(f"death {number}")
            faults.kill(victim)
            proc.wait_until("the locks are back", lambda w=was: locks.command(
                "check", "checked", 60)["reconnects"] > w, 60, 0.1)
            stream.more_blocks()
            stream.mark("rejoin")
            rejoin(bed, volume, victim)
    stream.assert_whole()
    locks.assert_no_error()
    assert locks.report["ranges_stolen"] == 0
    assert locks.report["ranges_free_after_unlock"] == locks.report["ranges"]
    gaps = [stream.gap_ms(f"death {number}") for number in range(RUNS)]
    print("gaps in ms:", gaps)
    assert statistics.median(gaps) <= GAP_MS
    assert max(gaps) <= 2 * GAP_MS


def overwrite(file):
    """Blocks that are there."""
    for number in range(BLOCKS):
        file.write(number * BLOCK, bytes([number]) * BLOCK)


def test_locks_on_another_node(bed, volume, share):
    """While the handle waits nobody takes, reads or writes what it has
    locked, on any node; then the same LOCK again is the same lock, and what
    is written is on the disk when it is answered."""
    file = Handles(bed.client, bed.node(2), share).open("file")
    other = Handles(bed.clients[1], bed.node(1), share).open("file", False)
    overwrite(file)
    assert file.lock(0, 10, sequence=0x11) == 0
    die(bed, bed.node(2))
    assert other.lock(0, 10) == NOT_GRANTED
    assert other.client.call(raw.WRITE, raw.write_body(
        other.handle, 0, b"theirs")).status == LOCK_CONFLICT
    assert other.client.call(raw.READ, raw.read_body(
        other.handle, 0, 4)).status == LOCK_CONFLICT
    come_back(file, bed.node(3))
    assert file.lock(0, 10, sequence=0x11) == 0
    assert other.lock(0, 10) == NOT_GRANTED
    with checks.Flushed(bed, "vol1", at_least=BLOCKS):
        overwrite(file)
    assert file.lock(0, 10, UNLOCK) == 0
    assert other.lock(0, 10) == 0
    rejoin(bed, volume, bed.node(2))
    file.close()
    other.close()


def test_closed_handle_stays_closed(bed, volume, share):
    """Its node dies before CTDB has vacuumed: nobody waits for it, and its
    client gets it no more."""
    file = Handles(bed.client, bed.node(2), share).open("file", share=0)
    other = Handles(bed.clients[1], bed.node(3), share)
    assert file.lock(0, 10) == 0
    file.close()
    die(bed, bed.node(2))
    back = other.open("file", share=0)
    assert back.lock(0, 10) == 0
    back.close()
    file.client.go_to(bed.node(3))
    assert file.try_reconnect() == NAME_NOT_FOUND
    rejoin(bed, volume, bed.node(2))


def test_create_is_replayed_elsewhere(bed, volume, share):
    """The answer was lost with the node: the same handle; and of one that
    never came, a new one."""
    client = Handles(bed.client, bed.node(2), share)
    body, _ = persistent_create("done", disposition=2, share=0)
    never, _ = persistent_create("never", disposition=2, share=0)
    first = client.ok(raw.CREATE, body)
    assert is_persistent(first)
    die(bed, bed.node(2))
    client.go_to(bed.node(3))
    again = client.call(raw.CREATE, body, extra=raw.REPLAY)
    assert is_persistent(again)
    assert raw.file_id(again)[:8] == raw.file_id(first)[:8]
    other = client.call(raw.CREATE, never, extra=raw.REPLAY)
    assert is_persistent(other)
    for reply in (again, other):
        client.ok(raw.CLOSE, raw.close_body(raw.file_id(reply)))
    rejoin(bed, volume, bed.node(2))


FOLDER, CREATED = 1, 2


class _InFlight:
    """A client whose smbd dies at a point of its CREATE of a new file."""

    def __init__(self, bed, share, point, folder=False):
        node = bed.node(2)
        self.name = f"{point}-{'folder' if folder else 'file'}"
        self.body, _ = persistent_create(
            self.name, disposition=2, share=0,
            options=FOLDER if folder else 0)
        self.client = Handles(bed.client, node, share)
        node.run("sh", "-c", f"echo {point} >/tmp/die")
        mid = self.client.conn.send(
            (raw.CREATE, self.client.tid, self.body))[0]
        with pytest.raises((EOFError, ConnectionError)):
            reply = self.client.conn.wait(mid, 30)
            pytest.fail(f"{point}: answered, {reply.status:#x}")
        assert node.run("test", "-e", "/tmp/die", check=False).returncode == 1

    def replay(self, node):
        """There; its answer when it has one."""
        self.client.go_to(node)
        said = []

        def answered():
            said.append(self.client.call(raw.CREATE, self.body,
                                         extra=raw.REPLAY))
            return said[-1].status != FILE_NOT_AVAILABLE
        proc.wait_until(f"{self.name} is answered", answered, 30, 0.2)
        return said[-1]

    def has_made_it(self, node, other):
        """The replay is answered as the first one would have been."""
        reply = self.replay(node)
        assert is_persistent(reply), self.name
        assert raw.create_action(reply) == CREATED, self.name
        assert other.call(raw.CREATE, self.body).status == COLLISION
        self.client.ok(raw.CLOSE, raw.close_body(raw.file_id(reply)))


@pytest.fixture(name="dying_share")
def _dying_share(bed, volume):
    """The share "dying" on vol1, with test/ca's fault points."""
    shutil.copy(compiled_module(CA / "vfs_die_test.c"), bed.dir / "modules")
    return volume.make_share("dying", **{
        "vfs objects": CA_STACK.replace(" csv", " die_test csv"),
        "die:file": "/tmp/die"})


def test_create_is_made_once(bed, volume, dying_share):
    """Its smbd, or its node, died before, while and after it made the file:
    the replay, on the same node and on another one, makes it if it is not
    there and has it if it is; another client's file stays that one's."""
    other = Handles(bed.clients[1], bed.node(1), dying_share)
    for point, folder in (("marked", False), ("named", True)):
        _InFlight(bed, dying_share, point, folder).has_made_it(
            bed.node(2), other)
    bed.node(1).run("sh", "-c", "rm -rf /csv/vol1/dying/*")
    flights = [_InFlight(bed, dying_share, point, folder)
               for folder, points in ((False, ("marked", "opened", "stored")),
                                      (True, ("made", "named", "opened")))
               for point in points]
    late = _InFlight(bed, dying_share, "before")
    theirs = other.ok(raw.CREATE, late.body)
    die(bed, bed.node(2))
    for flight in flights:
        flight.has_made_it(bed.node(3), other)
    assert late.replay(bed.node(3)).status == COLLISION
    other.ok(raw.CLOSE, raw.close_body(raw.file_id(theirs)))
    rejoin(bed, volume, bed.node(2))


def test_directory_above_is_renamed(bed, volume, share):
    """While the handle is connected, and while it waits: it is found."""
    bed.client.smbclient(bed.node(1).address, share, "mkdir a; mkdir a\\b")
    file = Handles(bed.client, bed.node(2), share).open("a\\b\\file")
    other = Handles(bed.clients[1], bed.node(1), share)
    folder = other.open("a", False, options=1)
    file.write(0, b"mine")
    other.ok(raw.SET_INFO, raw.rename_body(folder.handle, "c"))
    die(bed, bed.node(2))
    folder.close()
    other.open("d", False, options=1).close()
    folder = other.open("c", False, options=1)
    other.ok(raw.SET_INFO, raw.rename_body(folder.handle, "d\\e"))
    come_back(file, bed.node(3))
    file.write(4, b" too")
    file.close()
    folder.close()
    back = other.open("d\\e\\b\\file", False)
    assert raw.read_data(other.ok(raw.READ, raw.read_body(
        back.handle, 0, 10))) == b"mine too"
    rejoin(bed, volume, bed.node(2))


def _others_wait(bed, volume, fault):
    """The handle is older than the time for which it is kept."""
    share = volume.make_share("ca", **{"vfs objects": CA_STACK,
                                       "ca:timeout": KEPT_S})
    # whose connection ends with it
    holder = Handles(bed.client, bed.node(2), share)
    holder.open("file", share=0)
    others = [Handles(bed.clients[1], bed.node(n), share) for n in (1, 3)]
    time.sleep(KEPT_S + 1)
    began = time.monotonic()
    fault(bed.node(2))
    asked = [(other.conn, other.conn.send((
        raw.CREATE, other.tid, raw.create_body("file")))[0])
        for other in others]
    for conn, mid in asked:
        assert conn.wait(mid, 60).status == FILE_NOT_AVAILABLE
    print(f"told after {time.monotonic() - began:.1f} s")

    def opened():
        said = [other.call(raw.CREATE, raw.create_body("file"))
                for other in others]
        assert {reply.status for reply in said} <= {0, FILE_NOT_AVAILABLE}
        return all(reply.status == 0 for reply in said)
    proc.wait_until("others have it", opened, KEPT_S + LATE_S, 0.2)
    print(f"had it after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began >= KEPT_S
    del holder


@pytest.mark.parametrize("fault", [faults.kill, faults.silence]
                         if SOAK else [faults.kill])
def test_others_wait_for_it(bed, volume, fault):
    """Who opens the file after the death of the node, on any node, is told
    FILE_NOT_AVAILABLE, by a node that does not know of it yet only when it
    does; and has it when the time is over."""
    try:
        _others_wait(bed, volume, fault)
    finally:
        if bed.node(2).alive:
            faults.kill(bed.node(2))
        rejoin(bed, volume, bed.node(2))


@pytest.mark.parametrize("dies", [False, True])
def test_virtual_machine_on_another_host(bed, volume, share, dies):
    """Through another node it has its disk at once, whether the node of its
    first host is there or not."""
    instance = os.urandom(16)
    one = Handles(bed.client, bed.node(2), share)
    two = Handles(bed.clients[1], bed.node(3), share)
    first = one.ok(raw.CREATE, instance_create("disk", instance))
    assert is_persistent(first)
    if dies:
        die(bed, bed.node(2))
    began = time.monotonic()
    second = two.ok(raw.CREATE, instance_create("disk", instance))
    print(f"it has it after {time.monotonic() - began:.2f} s")
    assert is_persistent(second)
    if not dies:
        assert one.call(raw.WRITE, raw.write_body(
            raw.file_id(first), 0, b"late")).status == FILE_CLOSED
    two.ok(raw.CLOSE, raw.close_body(raw.file_id(second)))
    if dies:
        rejoin(bed, volume, bed.node(2))
