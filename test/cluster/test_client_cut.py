# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts that nobody has noticed yet: a client comes for its persistent handle
while its smbd still has it; handles are used while a node is silent that CTDB
does not miss yet."""

import os
import time

import pytest

from bed import checks, faults, proc
from drive import Running, Stream

TIMES = 3 if os.environ.get("SOFS_SOAK") else 1
SILENT_S = 8
GONE_MS = 5000                  # elsewhere, CTDB's recovery in it
NOTICED_MS = 3000               # an ECHO is not answered for 1500


@pytest.mark.parametrize("numbers", [(2,), (2, 3), (3, 1)])
def test_client_is_cut_from_its_node(bed, volume, numbers):
    """It comes back to the same node, whose smbd takes its new connection, or
    to another: redirected and direct; it has its handle, and loses nothing."""
    panics = checks.Panics(bed)
    nodes = [bed.node(n) for n in numbers]
    with Stream(bed.client, "vms", "cut", nodes,
                verify_through=nodes[-1]) as stream:
        for _ in range(TIMES):
            was = stream.status()
            faults.partition(bed, [bed.client], [bed.node_at(was["address"])])
            proc.wait_until("the client has noticed", lambda s=was:
                            stream.status()["silent_ms"] > NOTICED_MS or
                            stream.status()["reconnects"] > s["reconnects"],
                            20, 0.05)
            faults.join(bed)
            stream.more_blocks()
    stream.assert_whole()
    assert stream.report["reconnects"] >= TIMES
    volume.check()
    panics.check()


def test_operations_while_a_node_is_silent(bed, volume):
    """What is done with persistent handles is told to every node. One that
    has just fallen silent, and that CTDB does not miss yet, delays it until
    CTDB does, no longer."""
    with Running(bed.client, "ops", "vms", "ops-1", [bed.node(2)]) as one, \
            Running(bed.clients[1], "ops", "vms", "ops-2",
                    [bed.node(1)]) as two:
        for _ in range(TIMES):
            faults.silence(bed.node(3))
            began = time.monotonic()
            for ops in (one, two):
                done = ops.status()["operations"]
                proc.wait_until("operations go on", lambda o=ops, d=done:
                                o.status()["operations"] > d + 20, 120, 0.1)
            print(f"they go on after {time.monotonic() - began:.1f} s")
            faults.join(bed)
            bed.wait_healthy()
    for ops in (one, two):
        ops.assert_no_error()
        assert max(ops.report["longest_operation_ms"].values()) \
            <= 2000 * SILENT_S


@pytest.mark.parametrize("how", [("ban", "60", "unban"), pytest.param(
    ("stop", "continue"), marks=pytest.mark.soak("half a minute"))],
                         ids=["banned", "stopped"])
def test_inactive_node_lets_its_clients_go(bed, volume, how):
    """A client of an address that CTDB does not move goes to another node when
    its node is banned or stopped; one that has no other comes back in the end.
    Neither loses anything. (Patch 0024: without, ECHOs are answered, and
    nothing else.)"""
    one, two = bed.node(2), bed.node(3)
    with Stream(bed.client, "vms", "goes", [one, two],
                verify_through=two) as goes, \
            Stream(bed.clients[1], "vms", "waits", [one],
                   verify_through=two) as waits:
        waits.more_blocks()
        goes.mark("inactive")
        one.ctdb(*how[:-1])
        try:
            proc.wait_until("the client is elsewhere", lambda: goes.status()
                            ["address"] == two.address, 20, 0.05)
            goes.more_blocks(50)
        finally:
            one.ctdb(how[-1])
        bed.wait_healthy()
        waits.more_blocks(20, 60)
    goes.assert_whole()
    waits.assert_whole()
    assert goes.gap_ms("inactive") <= GONE_MS
    volume.check()
