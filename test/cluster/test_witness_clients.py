# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clients that are registered with witness and go where it says, while
they write. SOFS_WITNESS_CLIENTS: how many."""

import contextlib
import os
import time

import pytest

from bed import faults, proc
from drive import Stream, followed
from drive.promised import move_limit_ms
from drive.witness import node_addresses

pytestmark = pytest.mark.quiet
CLIENTS = int(os.environ.get("SOFS_WITNESS_CLIENTS", "4"))
SOON_S = 2              # told, after its registration
ALL_MOVED_S = 5
GAP_MS = 1000
LINK_MS = 300           # of that, for the connection to the other node
# of a dead owner's clients, after the volume is Active again; and in all
WITNESS_MS = 3000
ALONE_MS = 5000
DEATH_MS = 8000


@pytest.fixture(name="share")
def _share(bed, volume):
    """A share of the test's own on vol1, which node1 owns."""
    volume.make_share("followed")
    yield "followed"
    bed.unshare("followed")


def all_at(streams, node):
    """Every stream's link is to that node, and it writes."""
    addresses = node_addresses(node)
    return all(stream.status()["address"] in addresses for stream in streams)


def test_follows_to_the_owner(bed, share):
    """Clients of all nodes, without the redirect flag, are at the owner soon
    after they registered."""
    one = bed.node(1)
    with followed(bed, share, bed.nodes, 3) as (streams, followers):
        followers.wait_registered()
        proc.wait_until("all at the owner",
                        lambda: all_at(streams, one), ALL_MOVED_S, 0.1)
        assert not followers.moves(0)
        for number in (1, 2):
            when, = [said["when"] for said in followers.said
                     if "registered" in said and said["client"] == number][:1]
            assert followers.moves(number)[0]["when"] - when < SOON_S
    for stream in streams:
        stream.assert_whole()
        assert stream.gap_ms("start") <= GAP_MS


def mark(streams, name):
    """A new event begins for each of them."""
    for stream in streams:
        stream.mark(name)


def wait_moved(streams, followers, node):
    """All of them are there soon, and nobody is told twice."""
    proc.wait_until("all at the new owner",
                    lambda: all_at(streams, node), ALL_MOVED_S, 0.1)
    times = sorted(said["when"] for said in followers.moves())
    assert len(times) == len(streams)
    print(f"{len(streams)} moves within {times[-1] - times[0]:.2f} s")
    mark(streams, "after")
    time.sleep(7)           # past the end of the old registrations
    assert len(followers.moves()) == len(streams), "moved twice"


def check_moved(bed, streams):
    """Nothing failed or was lost, and no gap was longer than a planned move's
    may be, nor for what smbds of this machine take to start, all at once."""
    for stream in streams:
        stream.assert_whole()
    gaps = sorted(stream.gap_ms("move") for stream in streams)
    down = sorted(stream.report["links"][-1]["down_ms"] for stream in streams)
    print(f"gaps: median {gaps[len(gaps) // 2]:.0f}, longest {gaps[-1]:.0f}; "
          f"link away {down[len(down) // 2]:.0f}, longest {down[-1]:.0f} ms")
    assert gaps[-1] <= move_limit_ms(bed) + max(0, down[-1] - LINK_MS)


def test_volume_moves_under_clients(bed, volume, share):
    """All of them are at the new owner within 5 s; no gap is longer than a
    second, nothing fails, nothing is lost."""
    one, two, three = bed.nodes
    with followed(bed, share, [one], CLIENTS) as (streams, followers):
        followers.wait_registered()
        mark(streams, "move")
        volume.move(two)
        wait_moved(streams, followers, two)
    check_moved(bed, streams)
    volume.check(two)
    assert three.alive


def test_node_is_drained_under_clients(bed, volume, share):
    """The same when their node is drained; nothing of it is left there."""
    one = bed.node(1)
    try:
        with followed(bed, share, [one], CLIENTS) as (streams, followers):
            followers.wait_registered()
            mark(streams, "move")
            epoch = volume.epoch()
            one.run("sofs", "node", "drain", "--grace", "30")
            new = volume.wait_active(after=epoch)
            wait_moved(streams, followers, new)
            proc.wait_until("drained", lambda: not one.serving()
                            and 1 not in bed.public_ips(new).values()
                            and "Disabled" in bed.flags(new)[1], 30, 0.2)
    finally:
        one.run("sofs", "node", "resume")
    check_moved(bed, streams)
    bed.wait_healthy()
    volume.check(new)


def test_owner_is_killed_under_clients(bed, volume, share):
    """Those that listen to a witness write again within 3 s of the volume's
    being Active, the others within 5; 8 s in all."""
    one, *others = bed.nodes
    count = max(2, CLIENTS // 2)
    with followed(bed, share, [one], count, others) as (streams, followers), \
            contextlib.ExitStack() as stack:
        alone = [stack.enter_context(Stream(
            bed.clients[1], share, f"alone{i}", bed.nodes, interval_ms=100))
            for i in range(count)]
        followers.wait_registered()
        mark(streams + alone, "killed")
        epoch, began = volume.epoch(), time.monotonic()
        faults.kill(one)
        volume.wait_active(nodes=others, after=epoch)
        active_ms = (time.monotonic() - began) * 1000
        for stream in streams + alone:
            stream.more_blocks()
    for stream in streams + alone:
        stream.assert_whole()
    told, untold = (max(stream.gap_ms("killed") for stream in some)
                    for some in (streams, alone))
    print(f"Active after {active_ms:.0f} ms; longest gaps: {told:.0f} with a "
          f"witness, {untold:.0f} without")
    assert told <= min(active_ms + WITNESS_MS, DEATH_MS)
    assert untold <= min(active_ms + ALONE_MS, DEATH_MS)
