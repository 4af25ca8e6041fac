# SPDX-License-Identifier: GPL-3.0-or-later
"""One volume on three nodes: every node serves it; a move, a dead owner, a
dead csvd are noticed by clients as time only."""

import os
import statistics

import pytest

from bed import checks, faults, proc
from bed.lun import shut_down
from bed.moved import Moved
from drive import Stream
from drive.ledger import Ledger
from drive.promised import move_limit_ms

pytestmark = pytest.mark.long
SOAK = bool(os.environ.get("SOFS_SOAK"))
RUNS = 5
DEATHS = 5 if SOAK else 2       # most of the time is a node's way back
DEATH_MS = 5000


def judge_gaps(gaps, limit_ms):
    """Median within the limit, none above twice it."""
    print("gaps in ms:", [round(gap) for gap in gaps])
    assert statistics.median(gaps) <= limit_ms
    assert max(gaps) <= 2 * limit_ms


def test_every_node_serves_the_volume(bed, volume, tmp_path):
    """Written through one node, read through the others, redirected."""
    data = tmp_path / "data"
    data.write_bytes(os.urandom(3_000_017))
    for node in bed.nodes:
        bed.client.smbclient(node.address, "vms",
                             f"put {data} from-{node.name}")
    volume.check(bed.node(1))
    for node in bed.nodes:
        for other in bed.nodes:
            back = tmp_path / "back"
            bed.client.smbclient(other.address, "vms",
                                 f"get from-{node.name} {back}")
            assert back.read_bytes() == data.read_bytes()
            back.unlink()


def test_redirected_bytes_are_counted(bed, volume, tmp_path):
    """What the client moves through node2 is what node2 redirects."""
    data = tmp_path / "data"
    data.write_bytes(os.urandom(2_000_000))
    before = volume.redirected_bytes(bed.node(2))
    owner = volume.redirected_bytes(bed.node(1))
    bed.client.smbclient(bed.node(2).address, "vms", f"put {data} counted")
    moved = volume.redirected_bytes(bed.node(2)) - before
    assert moved == 2_000_000
    assert volume.redirected_bytes(bed.node(1)) == owner


@pytest.mark.parametrize("more", [{"read": 1}, {"written": 1}])
def test_one_byte_too_many_is_seen(bed, volume, tmp_path, more):
    """What is checked after each test of a volume fails when a client says
    that it moved one byte more than its node."""
    node = bed.node(2)
    ledger = Ledger(volume)
    bed.client.smbclient(node.address, "vms", "put /bin/bash bash; "
                         f"get bash {tmp_path}/bash")
    ledger.check()
    bed.moved.append(Moved("vms", node.address, **more))
    with pytest.raises(AssertionError, match="clients moved"):
        ledger.check()
    bed.moved.pop()


def test_written_through_reaches_the_disk(bed, volume):
    """Acknowledged stable writes are flushed by the owner, redirected too."""
    with Stream(bed.client, "vms", "flushed", [bed.node(2)]) as stream:
        with checks.Flushed(bed, "vol1", at_least=100):
            start = stream.status()["blocks_written"]
            proc.wait_until("100 blocks", lambda:
                            stream.status()["blocks_written"] > start + 100,
                            30, 0.1)
    stream.assert_whole()


@pytest.mark.quiet(on="slow")
def test_planned_moves(bed, volume):
    """A 10 ms write-through stream sees each move as a short gap."""
    targets = [bed.node(n) for n in (3, 1, 2, 3, 1)]
    with Stream(bed.client, "vms", "moves", [bed.node(2), bed.node(3)],
                verify_through=bed.node(3)) as stream:
        for number, node in enumerate(targets):
            stream.mark(f"move {number}")
            volume.move(node)
            volume.check(node)
    stream.assert_whole()
    judge_gaps([stream.gap_ms(f"move {n}") for n in range(RUNS)],
               move_limit_ms(bed))


@pytest.mark.quiet(on="slow")
@pytest.mark.parametrize("fault", [faults.kill, faults.power_cut])
def test_owner_dies(bed, volume, fault):
    """The client's node stays; the owner is killed or loses power."""
    with Stream(bed.client, "vms", "deaths", [bed.node(2)],
                verify_through=bed.node(2)) as stream:
        for number in range(DEATHS):
            owner = volume.owner()
            if owner == bed.node(2):
                volume.move(bed.node(1))
                owner = bed.node(1)
            epoch = volume.epoch()
            stream.mark(f"death {number}")
            fault(owner)
            volume.wait_active(nodes=bed.alive(), after=epoch)
            volume.check()
            stream.mark("rejoin")
            faults.rejoin(owner)
            bed.wait_healthy()
            volume.wait_active()
    stream.assert_whole()
    judge_gaps([stream.gap_ms(f"death {n}") for n in range(DEATHS)], DEATH_MS)


def test_dead_owner_is_fenced_first(bed, volume):
    """No start without the fence agent's success; then it goes on."""
    bed.fence_mode("fail")
    with Stream(bed.client, "vms", "fenced", [bed.node(2)],
                verify_through=bed.node(2)) as stream:
        epoch = volume.epoch()
        faults.kill(bed.node(1))
        proc.wait_until("two fence requests", lambda: len(
            [f for f in bed.fence_log() if f["port"] == "node1"]) >= 2,
            30, 0.1)
        assert volume.state(bed.node(2))["owner"] in (None, 0)
        proc.wait_until("the reason is said", lambda: any(
            "fence" in (n["reason"] or "").lower()
            for n in volume.state(bed.node(2))["nodes"]), 20, 0.2)
        checks.assert_mounted_only_on(bed, "vol1", None)
        bed.fence_mode("succeed")
        volume.wait_active(nodes=[bed.node(2), bed.node(3)], after=epoch)
    stream.assert_whole()


@pytest.mark.parametrize("where", [1, 2])
def test_csvd_is_killed(bed, volume, where):
    """csvd of the owner, or of the client's node: nobody is fenced."""
    fences = len(bed.fence_log())
    epoch = volume.epoch()
    with Stream(bed.client, "vms", f"csvd-{where}", [bed.node(2)],
                verify_through=bed.node(3)) as stream:
        for _ in range(3):
            victims = faults.kill_csvd(bed.node(where))
            proc.wait_until("a new csvd", lambda v=victims: set(
                faults.csvd_pids(bed.node(where))[1]) - set(v), 10)
            volume.wait_active(bed.node(1))
    stream.assert_whole()
    assert len(bed.fence_log()) == fences
    assert volume.epoch() == epoch
    assert stream.report["longest_gap_ms"] <= 2 * DEATH_MS


@pytest.mark.quiet(on="slow")
def test_move_with_a_stopped_smbd(bed, volume):
    """An smbd on the owner that hangs cannot hold the volume back."""
    with Stream(bed.client, "vms", "direct", [bed.node(1), bed.node(3)],
                verify_through=bed.node(3)) as direct, \
            Stream(bed.clients[1], "vms", "redirected", [bed.node(2)],
                   verify_through=bed.node(2)) as redirected:
        redirected.mark("move")
        faults.stop_smbd(bed.node(1))
        try:
            volume.move(bed.node(3))
        finally:
            faults.continue_smbd(bed.node(1))
        volume.check(bed.node(3))
    direct.assert_whole()
    redirected.assert_whole()
    assert redirected.gap_ms("move") <= 2 * move_limit_ms(bed)


@pytest.mark.quiet(on="slow")
def test_move_with_dirty_data(bed, volume):
    """1 GiB of dirty data is written back while clients go on."""
    bed.node(1).run("sh", "-c", "dd if=/dev/zero of=/csv/vol1/dirty bs=1M "
                    "count=1024 2>/dev/null")
    with Stream(bed.client, "vms", "dirty", [bed.node(2)],
                verify_through=bed.node(2)) as stream:
        stream.mark("move")
        volume.move(bed.node(3))
    bed.node(3).run("rm", "/csv/vol1/dirty")
    stream.assert_whole()
    assert stream.gap_ms("move") <= 2 * move_limit_ms(bed)


def test_dead_file_system_moves(bed, volume):
    """The owner's file system is shut down: the volume goes elsewhere, the
    client never sees an error."""
    with Stream(bed.client, "vms", "shutdown", [bed.node(2)],
                verify_through=bed.node(2)) as stream:
        epoch = volume.epoch()
        shut_down(f"{bed.node(1).root}/csv/vol1")
        proc.wait_until("a new owner", lambda: volume.state(
            bed.node(2))["epoch"] > epoch, 30, 0.1)
        volume.wait_active()
    stream.assert_whole()


def test_full_disk_is_said(bed, volume):
    """A full volume is DISK_FULL for the client, at once, and no pause."""
    # too much for it: takes all there is, then fails
    bed.node(1).run("sh", "-c", "dd if=/dev/zero of=/csv/vol1/fill bs=1M",
                    check=False, timeout=120)
    try:
        done = bed.client.smbclient(bed.node(2).address, "vms",
                                    "put /bin/bash too-much", check=False)
        assert "NT_STATUS_DISK_FULL" in done.stdout + done.stderr
        assert volume.state()["nodes"][0]["state"] == "Active"
    finally:
        bed.node(1).run("rm", "/csv/vol1/fill")


def _sizes(bed):
    """Resident KiB and descriptors of every csvd and smbd: {pid: (…)}."""
    found = {}
    for node in bed.alive():
        for name in ("csvd", "smbd"):
            for pid in node.pids(name):
                status = open(f"/proc/{pid}/status", encoding="ascii").read()
                rss = status.split("VmRSS:")[1].split()[0]
                found[pid] = (f"{node.name} {name}", int(rss),
                              len(os.listdir(f"/proc/{pid}/fd")))
    return found


def test_many_moves_leave_nothing_behind(bed, volume):
    """Moves in a row under load: memory and descriptors stay flat."""
    moves = 200 if SOAK else 20
    with Stream(bed.client, "vms", "many", [bed.node(2)],
                verify_through=bed.node(2)) as stream:
        for n in (2, 3, 1):
            volume.move(bed.node(n))
        before = _sizes(bed)
        for number in range(moves):
            volume.move(bed.node((number + 1) % 3 + 1))
        volume.move(bed.node(1))
        after = _sizes(bed)
        volume.check(bed.node(1))
    stream.assert_whole()
    print(f"{moves} moves: process, KiB before, after; files before, after")
    for pid in sorted(before.keys() & after.keys(), key=before.get):
        name, rss, fds = before[pid]
        _, rss_after, fds_after = after[pid]
        print(f"{name:12} {rss:7} {rss_after:7} {fds:5} {fds_after:5}")
        assert fds_after <= fds + 3, f"{name}: {fds} -> {fds_after} files"
        assert rss_after <= rss + 8192, f"{name}: {rss} -> {rss_after} KiB"


def test_bad_options_fail_the_tree_connect(bed, volume):
    """Each mistake in a share is one log line that says which."""
    mistakes = {
        "novolume": ({"csv:volume": ""}, "/csv/vol1/x"),
        "unknown": ({"csv:volume": "nosuch"}, "/csv/nosuch/x"),
        "outside": ({"csv:volume": "vol1"}, "/tmp"),
        "misspelt": ({"csv:volume": "vol1", "csv:volum": "x"},
                     "/csv/vol1/x"),
        "daemons": ({"csv:volume": "vol1", "csv:port": "4451"},
                    "/csv/vol1/x"),
    }
    for name, (params, path) in mistakes.items():
        bed.share(name, path, **{"vfs objects": "csv", **params})
        done = bed.client.smbclient(bed.node(2).address, name, "ls",
                                    check=False)
        assert "tree connect failed" in done.stdout + done.stderr, name
        lines = [line for line in bed.node(2).log().splitlines()
                 if name in line and "csv" in line]
        assert lines, f"no log line about {name}"
