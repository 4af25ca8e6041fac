# SPDX-License-Identifier: GPL-3.0-or-later
"""sofs node drain: a node is emptied under running clients and stays empty,
whatever happens, until it is resumed; volumes spread evenly."""

import json
import time

import pytest

from bed import Bed, faults, proc
from drive import Connects, Stream, Volume, accounted
from drive.connect import redirect_addresses
from drive.promised import move_limit_ms

NAMES = ("vol1", "vol2", "vol3")
REFUSED, USAGE = 1, 2


@pytest.fixture(name="three", scope="module")
def _three(request, bed_keeper):
    """Three nodes, three volumes without preferred owners."""
    bed_keeper.down()
    bed = Bed.up(nodes=3, clients=2, volumes=3, size="512M",
                 samba_prefix=request.config.getoption("--samba", None))
    for name in NAMES:
        Volume(bed, name).add(preferred=(), wait_limit=120)
    yield bed
    if request.session.testsfailed:
        print(f"logs of all nodes: {bed.keep_logs('drain')}")
    bed.down()


def sofs(node, *args, code=0, timeout=150):
    """Run the tool: its lines; of a refusal, the one that it says."""
    done = node.run("sofs", *args, check=False, timeout=timeout)
    assert done.returncode == code, done.stdout + done.stderr
    if code == 0:
        return done.stdout.splitlines()
    said = done.stderr.splitlines()
    assert len(said) == 1, said
    return said[0]


def nodes_of(node):
    """What one node knows of all: {number: …}."""
    out = json.loads(node.run("sofs", "node", "state", "--json").stdout)
    return {one["node"]: one for one in out["nodes"]}


def owners(bed, node=None):
    """{volume: owner's number} as one node says."""
    out = (node or bed.alive()[0]).run("sofs", "volume", "state", "--json")
    return {v["name"]: v["owner"] for v in json.loads(out.stdout)["volumes"]}


def all_on(bed, node):
    """Move every volume there."""
    for name in NAMES:
        volume = Volume(bed, name)
        volume.wait_active()
        if volume.owner() != node:
            volume.move(node)


def wait_all_active(bed):
    """Every volume is Active on every living node."""
    for name in NAMES:
        Volume(bed, name).wait_active()


def drained_file(node):
    """What csvd tells 55.sofs there."""
    return node.run("cat", "/run/csvd/drained").stdout.split()


def drained(bed):
    """node1 is, by an earlier test or now."""
    if nodes_of(bed.node(2))[0]["drain"] == "up":
        sofs(bed.node(2), "node", "drain", "0", "--grace", "0", "--wait")
    still_drained(bed)


def still_drained(bed):
    """node1 is, with all that belongs to it."""
    assert nodes_of(bed.node(2))[0]["drain"] == "drained"
    assert 0 not in owners(bed, bed.node(2)).values()
    proc.wait_until("disabled", lambda: "Disabled" in bed.flags(
        bed.node(2))[1], 30, 0.2)
    proc.wait_until("no public address", lambda: 1 not in bed.public_ips(
        bed.node(2)).values(), 30, 0.2)


@pytest.mark.quiet(on="slow")
def test_drained_under_load(three):
    """Its clients and others' see each move as a short gap and no error; it
    owns nothing and has no address; DNS and new connects pass it by."""
    bed, (one, two, three_) = three, three.nodes
    all_on(bed, one)
    with accounted(Volume(bed)) as volume:
        volume.make_share("vms", **{"csv:site affinity": "yes"})
        one.run("net", "conf", "setparm", "global", "csv:sites",
                "berlin:0 paris:1,2")
        bed.reload_smbd()
        with Stream(bed.client, "vms", "there", [one],
                    verify_through=two) as there, \
                Stream(bed.clients[1], "vms", "elsewhere", [two],
                       verify_through=three_) as elsewhere:
            for stream in (there, elsewhere):
                stream.more_blocks()
                stream.mark("drain")
            lines = sofs(two, "node", "drain", "node1", "--wait", "--grace",
                         "4")
            for stream in (there, elsewhere):
                stream.more_blocks()
                stream.mark("after")
        print("\n".join(lines))
        # spread: both others have some, as the plan says
        now = owners(bed)
        assert sorted(now.values()) in ([1, 1, 2], [1, 2, 2])
        for name, owner in now.items():
            assert f"{name}: node 0 -> node {owner}" in lines
        assert lines[-1].startswith("node 0: drained, 0 volumes, ")
        assert lines[-1].endswith(", disabled in CTDB")
        still_drained(bed)
        for node in bed.nodes:
            assert drained_file(node) == ["0"]
        with Connects(bed.client) as client:    # not for its site's sake
            assert redirect_addresses(client.to(one.address, "vms"))
        limit = move_limit_ms(bed)
        for stream in (there, elsewhere):
            stream.assert_whole()
            assert stream.gap_ms("drain") <= limit
        print("gaps in ms:", there.gap_ms("drain"), elsewhere.gap_ms("drain"))


def test_stays_drained(three):
    """While csvd or the node starts anew, or the others lose a node: it takes
    no volume, is given none, and says why a volume has no owner."""
    bed, (one, two, three_) = three, three.nodes
    drained(bed)
    faults.kill_csvd(one)
    proc.wait_until("csvd answers", lambda: nodes_of(one)[0]["drain"] ==
                    "drained", 20, 0.2)
    refused = sofs(two, "volume", "move", "vol1", "--to", "0", code=REFUSED)
    assert "node 0 is down, drained, leaving" in refused
    faults.power_cut(one)
    faults.rejoin(one)
    proc.wait_until("it is back", lambda: nodes_of(two)[0]["alive"], 60, 0.5)
    still_drained(bed)
    faults.kill(two)
    proc.wait_until("node3 has all", lambda: set(owners(
        bed, three_).values()) == {2}, 60, 0.2)
    assert drained_file(three_) == ["0"]
    faults.rejoin(two)
    proc.wait_until("node2 is back", lambda: nodes_of(three_)[1]["alive"] and
                    not three_.missing(), 60, 0.5)
    wait_all_active(bed)
    assert set(owners(bed).values()) == {2}


def test_resumed(three):
    """It is enabled, has an address, and takes volumes; the record stays."""
    bed, (one, _, three_) = three, three.nodes
    drained(bed)
    sofs(three_, "node", "resume", "0")
    bed.wait_healthy()
    proc.wait_until("an address", lambda: 1 in bed.public_ips(
        three_).values(), 30, 0.2)
    assert [n["drain"] for n in nodes_of(one).values()] == ["up"] * 3
    proc.wait_until("the files", lambda: all(
        drained_file(node) == [] for node in bed.nodes), 10, 0.1)
    Volume(bed, "vol2").move(one)
    assert sofs(three_, "node", "resume", "0") == []    # again: nothing to do


def test_to_one_node(three):
    """--to, by host name; a wait that ends too soon ends nothing."""
    bed, (one, two, _) = three, three.nodes
    all_on(bed, two)
    argv = ("node", "drain", "1", "--to", "node1", "--grace", "0")
    assert sofs(one, *argv, "--dry-run") == [
        f"{name}: node 1 -> node 0" for name in NAMES]
    assert sofs(one, *argv, "--wait", "--timeout", "0", code=REFUSED) == (
        "sofs: node 1 is not drained after 0 s; it goes on")
    proc.wait_until("drained", lambda: nodes_of(one)[1]["drain"] == "drained",
                    60, 0.2)
    assert set(owners(bed).values()) == {0}
    again = sofs(one, "node", "drain", "1", code=REFUSED)
    assert again == "sofs: node 1 is drained already"
    sofs(one, "node", "resume", "node2")
    bed.wait_healthy()


def test_spread_evenly(three):
    """With `csv:spread interval`: one volume after the other goes where there
    are fewer, not sooner than that; then they stay."""
    bed, (one, *_) = three, three.nodes
    all_on(bed, one)
    one.run("net", "conf", "setparm", "global", "csv:spread interval", "3")
    for node in bed.nodes:
        node.run("sh", "-c", "kill -HUP $(cat /run/csvd/csvd.pid)")
    seen, began = [owners(bed)], time.monotonic()
    times = []
    try:
        while time.monotonic() < began + 40 and len(set(
                seen[-1].values()) - {None}) < 3:
            now = owners(bed)
            if None not in now.values() and now != seen[-1]:
                times.append(time.monotonic())
                seen.append(now)
            time.sleep(0.05)
        assert sorted(seen[-1].values()) == [0, 1, 2], seen
        print("moves after", [round(t - began, 1) for t in times])
        assert len(seen) == 3       # two moves
        assert times[1] - times[0] >= 2.5
        wait_all_active(bed)
        time.sleep(8)               # two intervals: nothing more to do
        assert owners(bed) == seen[-1]
    finally:
        one.run("net", "conf", "delparm", "global", "csv:spread interval")


def test_dry_run_and_refusals(bed, volume):
    """The plan changes nothing; each mistake is one line and no change."""
    one, two, three = bed.nodes
    before = nodes_of(two)
    assert sofs(two, "node", "drain", "node1", "--dry-run") == [
        "vol1: node 0 -> node 2"]   # preferred: 0, 2, 1
    assert sofs(two, "node", "drain", "0", "--dry-run", "--to", "1",
                "--wait") == ["vol1: node 0 -> node 1"]
    mistakes = {
        ("drain", "nosuch"): "no such node: nosuch",
        ("resume", "7"): "no such node: 7",
        ("drain", "0", "--to", "0"): "node 0 cannot take its own volumes",
        ("drain", "0", "--to", "9"): "no such node: 9",
    }
    for args, message in mistakes.items():
        assert sofs(two, "node", *args, code=REFUSED) == f"sofs: {message}"
    sofs(two, "node", "drain", "0", "--exit", code=USAGE)
    sofs(two, "node", "drain", "0", "--grace", "-1", code=USAGE)
    assert nodes_of(two) == before
    assert volume.owner() == one
    faults.kill(three)
    proc.wait_until("it is missed", lambda: not nodes_of(two)[2]["alive"],
                    30, 0.2)
    assert sofs(two, "node", "drain", "2", code=REFUSED) == (
        "sofs: node 2 is down: there is nothing to drain")
    assert "down, drained, leaving or without csvd" in sofs(
        two, "node", "drain", "0", "--to", "2", code=REFUSED)
    bed.wait_recovered()
    # csvd hears of the recovery a moment later
    proc.wait_until("node2 is drained", lambda: two.run(
        "sofs", "node", "drain", "1", "--grace", "0",
        check=False).returncode == 0, 10, 0.2)
    assert sofs(two, "node", "drain", "0", code=REFUSED) == (
        "sofs: node 0 is the last one that can own volumes")
    assert volume.owner() == one
    sofs(two, "node", "resume")
    faults.rejoin(three)
    bed.wait_healthy()
