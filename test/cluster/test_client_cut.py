# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts that nobody has noticed yet: a client comes for its persistent handle
while its smbd still has it; handles are used while a node is silent that CTDB
does not miss yet."""

import os
import pathlib
import time

import pytest

from bed import checks, faults, proc
from drive import Running, Stream

TIMES = 3 if os.environ.get("SOFS_SOAK") else 1
SILENT_S = 8
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


def ctdbd_is_patched(bed):
    """Has this Samba the patch that the test is about?"""
    program = bed.nodes[0].run("sh", "-c", "command -v ctdbd").stdout.strip()
    return b"push-record ended by recovery" in pathlib.Path(
        bed.nodes[0].root + program).read_bytes()


def test_operations_while_a_node_is_silent(bed, volume):
    """What is done with persistent handles is told to every node. One that
    has just fallen silent, and that CTDB does not miss yet, delays it until
    CTDB does, no longer."""
    if not ctdbd_is_patched(bed):
        pytest.skip("ctdbd waits 60 s for a dead node's answer")
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
