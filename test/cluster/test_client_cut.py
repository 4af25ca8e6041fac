# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that loses its connection sooner than its smbd notices: the smbd
still has the persistent handle when the client comes for it."""

import time

import pytest

from bed import checks, faults, proc
from drive import Stream

TIMES = 3
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


def test_handle_while_a_node_is_silent(bed, volume):
    """A persistent open tells every node. One that has just fallen silent,
    and that CTDB does not miss yet, delays it until CTDB does."""
    faults.silence(bed.node(3))
    began = time.monotonic()
    with Stream(bed.client, "vms", "silent", [bed.node(2)],
                verify_through=bed.node(1), ready_s=90) as stream:
        took = time.monotonic() - began
        print(f"open after {took:.1f} s")
        stream.more_blocks()
    stream.assert_whole()
    assert took <= 2 * SILENT_S
