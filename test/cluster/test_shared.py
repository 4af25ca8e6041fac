# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume that every node mounts (access shared): all are direct, locks and
share modes hold across nodes, nobody waits for a node that dies.

The bed has no cluster file system; one directory of the one kernel, mounted
by each node for itself, is as coherent as the best of them.
"""

import os
import time

import pytest

from bed import faults, proc
from drive import Running, Session, Stream, Volume, followed
from drive.ledger import Ledger
from drive.session import SHARING_VIOLATION

AGENT = ("ocf:heartbeat:Filesystem?device=/shared/cfs&directory=/csv/cfs"
         "&fstype=none&options=bind")
DEATH_MS = 5000
SPREAD_S = 40


def mounted(node):
    """Has the node mounted it?"""
    return any(entry["point"] == "/csv/cfs"
               for entry in proc.mounts(node.pid))


@pytest.fixture(name="volume")
def _volume(bed):
    """cfs, Active on every node, with the share together."""
    bed.shared_dir("cfs")
    volume = Volume(bed, "cfs")
    volume.sofs("volume", "add", "cfs", "--access", "shared", "--agent",
                AGENT, "--fence", "fence_bed")
    volume.wait_active()
    (bed.dir / "shared/cfs/together").mkdir(exist_ok=True)
    (bed.dir / "shared/cfs/together").chmod(0o777)
    bed.share("together", "/csv/cfs/together", **{
        "vfs objects": "acl_xattr streams_xattr csv", "csv:volume": "cfs",
        "continuous availability": "yes"})
    ledger = Ledger(volume)
    yield volume
    ledger.check()
    volume.remove()
    proc.wait_until("cfs is mounted nowhere", lambda: not any(
        mounted(node) for node in bed.alive()), 30)


def all_direct(volume):
    """Every node's view: Active and direct; nobody owns it."""
    state = volume.state()
    assert state["owner"] is None and state["volume_access"] == "shared"
    assert {(n["state"], n["access"]) for n in state["nodes"]} \
        == {("Active", "direct")}


def test_shared_volume_is_direct_everywhere(bed, volume, tmp_path):
    """Mounted on every node; what one writes the others read, nothing is
    redirected; it cannot be moved."""
    all_direct(volume)
    data, back = tmp_path / "data", tmp_path / "back"
    data.write_bytes(os.urandom(1_000_003))
    for node in bed.nodes:
        assert mounted(node)
        bed.client.smbclient(node.address, "together",
                             f"put {data} from-{node.name}")
    for node in bed.nodes:
        for other in bed.nodes:
            bed.client.smbclient(other.address, "together",
                                 f"get from-{node.name} {back}")
            assert back.read_bytes() == data.read_bytes()
        assert volume.redirected_bytes(node) == 0
    moved = volume.sofs("volume", "move", "cfs", check=False)
    assert moved.returncode == 1 and "it is shared" in moved.stderr


def test_shared_volume_has_one_set_of_locks(bed, volume):
    """Share modes and byte-range locks taken on one node hold on another:
    files have one identity."""
    with Session(bed.client, bed.node(1), "together") as one, \
            Session(bed.clients[1], bed.node(2), "together") as two:
        alone = one.open("alone", share=0).must()
        two.open("alone").must(SHARING_VIOLATION)
        one.close(alone).must()
        two.open("alone").must()
    with Running(bed.client, "locks", "together", "locked", [bed.node(1)],
                 options=["--verify-addresses", bed.node(3).address]) as lk:
        lk.command("check", "checked", 30)
    lk.assert_no_error()
    assert lk.report["ranges_stolen"] == 0
    assert lk.report["probes"] == lk.report["probes_refused"] > 0
    all_direct(volume)


def test_shared_volume_when_a_node_dies(bed, volume):
    """The clients of the others go on; its own client goes elsewhere; it
    mounts the volume again when it is back."""
    with Stream(bed.client, "together", "stays", [bed.node(2)],
                verify_through=bed.node(1)) as stays, \
            Stream(bed.clients[1], "together", "goes",
                   [bed.node(3), bed.node(1)],
                   verify_through=bed.node(2)) as goes:
        stays.mark("death")
        faults.kill(bed.node(3))
        goes.more_blocks()
        stays.more_blocks()
        faults.rejoin(bed.node(3))
        bed.wait_healthy()
        volume.wait_active()
    stays.assert_whole()
    goes.assert_whole()
    assert goes.report["reconnects"] > 0
    assert stays.gap_ms("death") <= DEATH_MS
    all_direct(volume)
    assert mounted(bed.node(3))


def where(bed, streams):
    """How many of them each node serves, the most first."""
    at = [bed.node_at(stream.status()["address"]) for stream in streams]
    return sorted((at.count(node) for node in bed.nodes), reverse=True)


def test_clients_are_spread(bed, volume):
    """As after the other nodes were away: all clients are at one. Each of the
    others draws its share, nobody is moved twice or notices more than a
    moment, and that is the end of it."""
    all_direct(volume)
    with followed(bed, "together", [bed.node(2)], 4) as (streams, followers):
        followers.wait_registered()
        proc.wait_until("spread", lambda: where(bed, streams) == [2, 1, 1],
                        SPREAD_S, 0.5)
        moves = len(followers.moves())
        time.sleep(8)
        assert where(bed, streams) == [2, 1, 1]
        assert len(followers.moves()) == moves
        assert all(len(followers.moves(number)) <= 1 for number in range(4))
    for stream in streams:
        stream.assert_whole()
