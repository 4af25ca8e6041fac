# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that was taken for dead comes back, with smbds that still have what
clients have taken elsewhere meanwhile, or are about to."""

import pathlib
import signal
import time

import pytest

from bed import checks, faults, proc
from drive import Stream
from drive.script import Script

SCRIPT = pathlib.Path(__file__).parent / "drive/raw_handle.py"
FILE_NOT_AVAILABLE = 0xC0000467
NOTICED_S = 30
TIMEOUT_S = 8                   # of a handle that nobody has


class Handle(Script):
    """drive/raw_handle.py: ``with Handle(client) as h: h("open", "x")``."""

    def __init__(self, client):
        super().__init__(client, SCRIPT)

    def __call__(self, *request):
        return self.ask(request)


def serving(node, client):
    """Host process ids of the smbds of a node that serve a client."""
    return [pid for pid in node.pids("smbd")
            if client.address in proc.command(pid)]


def left_and_next(bed):
    """The node that is cut off, and the one that its client goes to. Not the
    leader: that one loses the cluster lock, is banned, and its smbds end."""
    leader = bed.wait_healthy()
    one, two = bed.node(2), bed.node(3)
    return (two, one) if one == leader else (one, two)


def wait_seen(node, other):
    """CTDB on a node has another one back."""
    proc.wait_until(f"{node.name} sees {other.name}", lambda: (
        "DISCONNECTED" not in node.bed.flags(node)[other.number].upper()
        and node.bed.status(node)["mode"] == "NORMAL"), NOTICED_S, 0.1)


def test_holder_is_asked(bed, volume):
    """A client has connected to another node while its own was missed, so
    nobody told the smbd there; it comes for its handle when that node is back:
    it may be told to try again, and has its handle. That smbd ends."""
    panics = checks.Panics(bed)
    (one, two), said = left_and_next(bed), []
    with Handle(bed.client) as handle:
        assert handle("connect", one.address, "vms") == 0
        assert handle("open", "left") == 0
        faults.silence(one)
        bed.wait_healthy([node for node in bed.nodes if node != one])
        assert handle("connect", two.address, "vms") == 0
        assert serving(one, bed.client), "nobody holds it any more"
        faults.join(bed)
        wait_seen(two, one)
        end = time.monotonic() + NOTICED_S
        while time.monotonic() < end:
            said.append(handle("reconnect", "left"))
            if said[-1] != FILE_NOT_AVAILABLE:
                break
            time.sleep(0.1)
        bed.wait_healthy()
        assert not serving(one, bed.client)
    said = [f"0x{status:08X}" for status in said]
    assert said[-1] == "0x00000000", said
    volume.check()
    panics.check()


def end_before_recovery(bed, node):
    """A silent node comes back; its smbd ends when the others answer it, and
    before the recovery that brings their records."""
    begun = len(node.log("log.ctdb"))
    victims = serving(node, bed.client)
    assert victims
    for pid in victims:
        proc.send(pid, signal.SIGSTOP)
    faults.join(bed)
    proc.wait_until("CTDB is connected", lambda: node.log("log.ctdb")[
        begun:].count(": connected to ") == len(bed.nodes) - 1, 20, 0.02)
    for pid in victims:
        proc.send(pid, signal.SIGTERM)
        proc.send(pid, signal.SIGCONT)


@pytest.mark.parametrize("early", [False, True])
def test_returning_node_takes_nothing(bed, volume, early):
    """A client has its handle elsewhere when its old node is back, whose smbd
    ends then, or ends while CTDB has the node back but not recovered (early).
    That handle is not lost and does not expire: it is still the client's,
    which comes for it again."""
    panics = checks.Panics(bed)
    one, two = left_and_next(bed)
    with Stream(bed.client, "vms", "back", [one, two], verify_through=two,
                more=["--persistent-timeout-ms", 1000 * TIMEOUT_S]) as stream:
        faults.silence(one)
        proc.wait_until("the client is elsewhere", lambda: stream.status()
                        ["address"] == two.address, NOTICED_S, 0.1)
        stream.more_blocks()
        if early:
            end_before_recovery(bed, one)
        else:
            faults.join(bed)
        bed.wait_healthy()
        proc.wait_until("the old smbd has noticed", lambda: not serving(
            one, bed.client), 60, 0.1)
        time.sleep(TIMEOUT_S + 2)
        for pid in serving(two, bed.client):
            proc.send(pid, signal.SIGKILL)
        stream.more_blocks()
    stream.assert_whole()
    volume.check()
    panics.check()
