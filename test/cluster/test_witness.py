# SPDX-License-Identifier: GPL-3.0-or-later
"""Witness: registered clients are told where their volumes are now."""

import datetime
import signal
import subprocess
import time

import pytest

from bed import faults, net, proc
from drive import Session, Witness
from drive.promised import late_ms
from drive.witness import (CLIENT_MOVE, NOT_FOUND, PROCNUM_OUT_OF_RANGE,
                           RESOURCE_CHANGE, SHARE_MOVE, UNAVAILABLE,
                           node_addresses, public_address)

pytestmark = pytest.mark.quiet(on="slow")
# After a registration, or after the change that makes it move.
SOON_S = 2
LISTED_S = 10           # who uses which share is asked for so often


def moved(answer, kind, node, since):
    """The notification is that move, and came soon."""
    assert answer["status"] == 0, answer
    assert answer["type"] == kind, answer
    assert sorted(answer["addresses"]) == sorted(node_addresses(node)), answer
    assert answer["when"] - since <= SOON_S, answer["when"] - since


@pytest.fixture(name="share")
def _share(bed, volume):
    """A share of the test's own on vol1, which node1 owns."""
    volume.make_share("watched")
    yield "watched"
    bed.unshare("watched")


def test_moved_with_the_volume(bed, volume, share):
    """Who is where the volume is hears nothing until that moves; then the
    new owner's addresses."""
    one, two, three = bed.nodes
    with Witness(bed.client) as own, Witness(bed.client) as other:
        own.register(public_address(two), public_address(one), share, computer="own")
        other.register(public_address(three), net.cluster_address(1), share,
                       computer="other")
        own.begin()
        other.begin()
        assert own.silent(3) and other.silent(0)
        since = time.time()
        volume.move(two)
        moved(own.end(), SHARE_MOVE, two, since)
        moved(other.end(), SHARE_MOVE, two, since)


def test_moved_after_it_registered(bed, share):
    """A client without the redirect flag, at a node that is not the
    owner."""
    one, two, three = bed.nodes
    with Witness(bed.client) as witness:
        since = time.time()
        witness.register(public_address(three), public_address(two), share,
                         computer="late")
        moved(witness.notify(), SHARE_MOVE, one, since)


def test_newer_clients_fall_back(bed, share):
    """WitnessrUnRegisterEx, opnum 5, is refused as Windows before 2025 does,
    and the registration goes on."""
    with Witness(bed.client) as witness:
        witness.register(public_address(bed.node(3)), public_address(bed.node(1)), share)
        answer = witness.ask({"do": "opnum", "number": 5})
        assert answer["status"] == PROCNUM_OUT_OF_RANGE, answer
        witness.call("unregister")


def dissected(bed, capture, *fields):
    """tshark's values of these fields, of all packets that have the last."""
    words = ["tshark", "-r", capture, "-Y", fields[-1], "-T", "fields"]
    for field in fields:
        words += ["-e", field]
    return [line.split("\t") for line in
            bed.client.run(*words).stdout.splitlines()]


def test_tshark_reads_the_notification(bed, share, tmp_path):
    """Wireshark's dissector finds on the wire what was said."""
    capture = tmp_path / "witness.pcap"
    one, two, three = bed.nodes
    with bed.client.popen("tshark", "-i", "eth0", "-f", "tcp", "-w", capture,
                          stderr=subprocess.PIPE, text=True) as tshark:
        while "Capturing" not in tshark.stderr.readline():
            assert tshark.poll() is None
        with Witness(bed.client) as witness:
            witness.register(public_address(three), public_address(two), share,
                             computer="dissected")
            said = witness.notify()
            witness.call("unregister")
        time.sleep(1)           # dumpcap writes what it has once a second
        tshark.send_signal(signal.SIGINT)
    head = "witness.witness_"
    assert dissected(bed, capture, f"{head}RegisterEx.share_name",
                     f"{head}RegisterEx.client_computer_name") == [
                         [share, "dissected"]]
    (kind, number, addresses_), = dissected(
        bed, capture, f"{head}notifyResponse.type",
        f"{head}IPaddrInfoList.num", f"{head}IPaddrInfo.ipv4")
    assert int(kind, 0) == SHARE_MOVE
    assert int(number) == len(said["addresses"])
    assert addresses_.split(",") == said["addresses"]
    assert sorted(said["addresses"]) == sorted(node_addresses(one))


def test_not_twice(bed, volume, share):
    """Who stays where it was is not told again at once; when its old
    registration has ended and it has a new one, neither."""
    two = bed.node(2)
    with Witness(bed.client) as witness:
        since = time.time()
        witness.register(public_address(bed.node(3)), public_address(two), share,
                         computer="twice")
        moved(witness.notify(), SHARE_MOVE, bed.node(1), since)
        witness.begin()
        assert witness.end()["status"] == NOT_FOUND
        assert time.time() - since >= 4.5
        witness.register(public_address(bed.node(3)), public_address(two), share,
                         computer="twice")
        witness.begin()
        assert witness.silent(2)
        moved(witness.end(10), SHARE_MOVE, bed.node(1), since + 10)
    volume.check(bed.node(1))


def test_banned_witness_ends(bed, volume, share):
    """Whose witness is outside the cluster would never hear anything: its
    connection ends, and it registers with another node."""
    leader = bed.wait_healthy()
    if volume.owner() != leader:
        volume.move(leader)
    last, out = (node for node in bed.nodes if node != leader)
    with Witness(bed.client) as witness:
        witness.register(net.cluster_address(out.number), public_address(leader),
                         share, computer="banned")
        witness.begin()
        assert witness.silent(1)
        try:
            out.ctdb("ban", "30")
            assert witness.end(10)["status"] != 0
            witness.register(net.cluster_address(last.number), public_address(leader),
                             share, computer="banned")
            since = time.time()
            volume.move(last)
            moved(witness.notify(), SHARE_MOVE, last, since)
        finally:
            out.ctdb("unban")
    bed.wait_healthy()


def test_switched_off(bed, volume, share):
    """csv:witness = no: nobody is moved."""
    volume.make_share("stays", **{"csv:witness": "no"})
    try:
        with Witness(bed.client) as witness, Witness(bed.client) as other:
            witness.register(public_address(bed.node(3)), public_address(bed.node(2)),
                             "stays")
            other.register(public_address(bed.node(3)), public_address(bed.node(2)), share,
                           computer="goes")
            witness.begin()
            other.notify()
            assert witness.silent(1)
    finally:
        bed.unshare("stays")


def test_drained(bed, volume, share):
    """Every client of a drained node is moved to another one: together with
    its volume, or for no share at all, v1 and v2."""
    one, two, three = bed.nodes
    with Witness(bed.client) as owner, Witness(bed.client) as old, \
            Witness(bed.client) as other:
        owner.register(public_address(two), net.cluster_address(1), share,
                       computer="a")
        old.register(public_address(two), net.cluster_address(1), computer="b",
                     version=1)
        other.register(net.cluster_address(2), net.cluster_address(3),
                       computer="c")
        for witness in owner, old, other:
            witness.begin()
        since = time.time()
        one.run("sofs", "node", "drain")
        try:
            took = time.time() - since
            new = volume.wait_active()
            assert new != one
            moved(owner.end(), CLIENT_MOVE, new,
                  since + took + late_ms(bed) / 1000)
            answer = old.end()
            assert answer["type"] == CLIENT_MOVE
            assert not set(answer["addresses"]) & set(node_addresses(one))
            assert other.silent(1)
        finally:
            one.run("sofs", "node", "resume")


def test_older_client_is_moved_with_its_shares(bed, volume, share):
    """One that registers for no share: it is moved when the volumes of all
    shares that it has connected to are elsewhere."""
    one, two, three = bed.nodes
    client = bed.clients[1]
    bed.share("elsewhere", "/tmp")
    try:
        with Session(client, two, share), Witness(client) as witness:
            with Session(client, two, "elsewhere"):
                witness.register(public_address(three), public_address(two), computer="old",
                                 version=1)
                witness.begin()
                assert witness.silent(LISTED_S / 2)
            moved(witness.end(), CLIENT_MOVE, one,
                  time.time() + LISTED_S)
    finally:
        bed.unshare("elsewhere")
    with Session(client, two, share), Witness(client) as witness:
        since = time.time()
        witness.register(public_address(three), public_address(two), computer="new",
                         version=1)
        moved(witness.notify(), CLIENT_MOVE, one, since + SOON_S)
    volume.check(one)


def recovered_at(nodes, since):
    """When the leader first said so after that time: it sends
    CTDB_SRVID_RECONFIGURE then. A recovery that failed does not count. None:
    it has not."""
    for line in sorted(line for node in nodes
                       for line in node.log("log.ctdb").splitlines()
                       if "do_recovery: Recovery complete" in line):
        when = datetime.datetime.fromisoformat(line.split()[0])
        if when.timestamp() > since:
            return when.timestamp()
    return None


def test_owner_is_killed(bed, volume, share):
    """A survivor says so, within a second of CTDB's recovery; that, or the
    next thing it says, is where the volume is now."""
    one, two, three = bed.nodes
    with Witness(bed.client) as witness:
        witness.register(net.cluster_address(2), net.cluster_address(1),
                         share, computer="killed")
        witness.begin()
        since = time.time()
        faults.kill(one)
        said = [witness.end(60)]
        while said[-1]["type"] == RESOURCE_CHANGE:
            assert said[-1]["resources"] == [[net.cluster_address(1),
                                              UNAVAILABLE]]
            said.append(witness.notify(60))
        new = volume.wait_active(nodes=[two, three])
        late = said[0]["when"] - proc.wait_until(
            "CTDB has recovered", lambda: recovered_at([two, three], since),
            20)
        print(f"{said[0]['when'] - since:.2f} s after the node's end, "
              f"{late:.2f} s after the recovery's")
        assert late <= 1
        assert said[-1]["type"] == SHARE_MOVE
        # public addresses of the dead node may have come to it since
        assert said[-1]["addresses"][0] == net.cluster_address(new.number)
        assert set(said[-1]["addresses"]) <= set(node_addresses(new))


def test_starts_again(bed):
    """One per node; when it dies, csvd's supervisor starts another."""
    for node in bed.nodes:
        assert len(node.pids("sofs_witness")) == 1
    first, = bed.node(2).pids("sofs_witness")
    proc.send(first, signal.SIGKILL)
    proc.wait_until("another one", lambda: [
        pid for pid in bed.node(2).pids("sofs_witness") if pid != first],
        5, 0.1)
