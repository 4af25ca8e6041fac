# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's name in a real BIND 9 has the addresses of all healthy nodes and
no other, whatever happens to nodes, leader and server."""

import pathlib
import time

import pytest

from bed import faults, proc
from drive import Stream
from drive.nameserver import NAME, ZONE, NameServer

pytestmark = pytest.mark.quiet(on="slow")
CHANGED_S = 5       # from a flag to its answer
KILLED_S = 10       # CTDB's recovery comes before
NEXT_S = 3          # by which the next node looks later
BACK_S = 5          # from the server's return
TTL = 7

OPTIONS = f"""CTDB_SOFS_DNS_METHOD=nsupdate
CTDB_SOFS_DNS_NAMES={NAME}
CTDB_SOFS_DNS_ZONE={ZONE}
CTDB_SOFS_DNS_SERVER={{address}}
CTDB_SOFS_DNS_KEY_FILE=$CTDB_BASE/dns.key
CTDB_SOFS_DNS_TTL={TTL}
CTDB_SOFS_DNS_TIMEOUT=1
"""


def six(node):
    """An address that the bed's network does not have, but DNS may."""
    return f"fd77:1::{node.number}"


def trouble(node):
    """What a node says that it could not do."""
    path = node.dir / "var/lib/ctdb/scripts/service/sofs/trouble"
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


def configure(bed, server):
    """Every node gets the same files; returns those to remove."""
    files = {"dns.key": server.key,
             "dns_nodes": "".join(f"{n.pnn} {n.address} {six(n)}\n"
                                  for n in bed.nodes),
             "events/legacy/55.sofs.options":
             OPTIONS.format(address=server.address)}
    paths = []
    for node in bed.nodes:
        for name, text in files.items():
            paths.append(node.dir / "etc/ctdb" / name)
            paths[-1].write_text(text, "utf-8")
            paths[-1].chmod(0o600)
    return paths


def secret_is_kept(bed, server):
    """It stands in no log."""
    for node in bed.nodes:
        for path in filter(pathlib.Path.is_file, (node.dir / "log").iterdir()):
            assert server.secret not in path.read_text("utf-8", "replace")


@pytest.fixture(name="server")
def _server(bed, tmp_path):
    """A name server that the nodes use, with the name registered."""
    with NameServer(bed.clients[1], tmp_path) as server:
        paths = configure(bed, server)
        try:
            wait(server, bed.nodes, 15)
            yield server
            secret_is_kept(bed, server)
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
            for node in bed.alive():
                node.ctdb("enable", check=False)


def right(server, nodes):
    """The name has these nodes' addresses, of both families."""
    return (set(server.answer()) == {n.address for n in nodes}
            and set(server.answer("AAAA")) == {six(n) for n in nodes})


def wait(server, nodes, limit):
    """Until it has, and say how long that took."""
    began = time.monotonic()
    proc.wait_until(f"{NAME} names {nodes}", lambda: right(server, nodes),
                    limit, 0.05)
    print(f"{nodes}: {time.monotonic() - began:.1f} s of {limit}")


def test_sick_nodes_are_not_named(bed, server):
    """All of them with the short TTL, each of them first now and then (the
    server's doing); then only those that are not disabled."""
    one, two, three = bed.nodes
    assert server.ttls() == {str(TTL)}
    firsts = set()
    proc.wait_until("each node is first", lambda: firsts.add(
        server.answer()[0]) or len(firsts) == 3, 10, 0)
    one.ctdb("disable")
    wait(server, [two, three], CHANGED_S)
    two.ctdb("disable")
    wait(server, [three], CHANGED_S)
    for node in (one, two):
        node.ctdb("enable")
    wait(server, bed.nodes, CHANGED_S)


def test_drained_node_is_not_named(bed, volume, server):
    """Already while its clients may stay, so before CTDB disables it; when it
    is resumed, it is named again."""
    one, two, three = bed.nodes
    with Stream(bed.client, "vms", "drained", [three],
                verify_through=three) as stream:
        stream.more_blocks()
        one.run("sofs", "node", "drain", "2", "--grace", "60")
        wait(server, [one, two], CHANGED_S)
        assert bed.flags(one)[3] == "OK"
        one.run("sofs", "node", "resume", "2")
        wait(server, bed.nodes, CHANGED_S)
    stream.assert_whole()
    volume.check(one)


def test_a_node_that_cannot_write(bed, server):
    """The one whose turn it is has another key: the next one does it."""
    one, two, three = bed.nodes
    (one.dir / "etc/ctdb/dns.key").write_text(
        server.key.replace(server.secret, 43 * "A" + "="), "utf-8")
    three.ctdb("disable")
    wait(server, [one, two], CHANGED_S + NEXT_S)
    assert "NOTAUTH" in trouble(one)
    proc.wait_until("node2 is content", lambda: not trouble(two), CHANGED_S)


def test_killed_node_is_not_named(bed, server):
    """The leader, which is also the one whose turn it was to write (unless
    that leaves nobody healthy); when it is back it is named again."""
    leader = bed.leader()
    sick = [n for n in bed.nodes if n.number < leader.number]
    if len(sick) == len(bed.nodes) - 1:
        sick = []
    for node in sick:
        node.ctdb("disable")
    well = [n for n in bed.nodes if n not in sick]
    wait(server, well, CHANGED_S)
    faults.kill(leader)
    wait(server, [n for n in well if n != leader], KILLED_S)
    faults.rejoin(leader)
    configure(bed, server)      # a node gets fresh files when it starts
    for node in sick:
        node.ctdb("enable")
    bed.wait_healthy()
    wait(server, bed.nodes, CHANGED_S)


def test_server_is_away_during_a_change(bed, server):
    """It refuses, or is silent: no event waits for it, no node becomes
    unhealthy, and soon after its return the name is right."""
    one, two, three = bed.nodes
    for away, back, change, named in (
            (server.kill, server.start, "disable", [one, three]),
            (server.hang, server.resume, "enable", bed.nodes)):
        away()
        two.ctdb(change)
        serving = {node.number for node in named}
        proc.wait_until(f"{named} serve the public addresses", lambda: set(
            bed.public_ips(one).values()) == serving, CHANGED_S)
        proc.wait_until("node1 has tried", lambda:
                        "does not answer" in trouble(one), CHANGED_S)
        assert {number for number, flag in bed.flags(one).items()
                if flag == "OK"} == serving
        back()
        wait(server, named, BACK_S)
        proc.wait_until("node1 is content", lambda:
                        not trouble(one), CHANGED_S)
