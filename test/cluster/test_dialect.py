# SPDX-License-Identifier: GPL-3.0-or-later
"""The highest dialect of the cluster: who speaks a higher one is told which,
in the bytes of MS-SMB2, and who has handles already is let in."""

import contextlib
import json

from bed import faults, proc
from drive import Connects
from drive.connect import CLUSTER_RECONNECT, bad_dialect_error

BAD_CLUSTER_DIALECT = 0xC05D0001
OLD, NEW = 0x0302, 0x0311


def told(client, node, share, dialect, flags=0):
    """The limit that a client is told; None: it is let in."""
    answer = client.to(node.address, share, flags, dialect=dialect)
    if answer["status"] == 0:
        return None
    assert answer["status"] == BAD_CLUSTER_DIALECT, answer
    error = bytes.fromhex(answer["error"])
    limit = int.from_bytes(error[-2:], "little")
    assert error == bad_dialect_error(limit, dialect), answer
    return limit


def test_option(bed, volume):
    """A share's own limit, on every node; none; an impossible one."""
    limits = {"upto302": "smb3_02", "upto300": "SMB3_00", "any": "no",
              "self": "auto"}
    for name, value in limits.items():
        volume.make_share(name, **{"csv:max cluster dialect": value})
    with Connects(bed.client) as client:
        for node in bed.nodes:
            assert told(client, node, "upto302", NEW) == OLD
        node = bed.node(2)
        assert told(client, node, "upto302", OLD) is None
        assert told(client, node, "upto300", NEW) == 0x0300
        assert told(client, node, "upto300", OLD) == 0x0300
        assert told(client, node, "upto302", NEW, CLUSTER_RECONNECT) is None
        # a flag of 3.1.1 only: below, that field is reserved
        assert told(client, node, "upto300", OLD,
                    CLUSTER_RECONNECT) == 0x0300
        for name in ("any", "self", "vms"):
            assert told(client, node, name, NEW) is None
    volume.check(bed.node(1))


def test_global_option_and_wrong_value(bed, volume):
    """[global] counts where the share says nothing; a value that is none
    fails the tree connect with one line that says so."""
    volume.make_share("wrong", **{"csv:max cluster dialect": "SMB4"})
    one, two = bed.node(1), bed.node(2)
    one.run("net", "conf", "setparm", "global", "csv:max cluster dialect",
            "SMB3_02")
    bed.reload_smbd()
    try:
        with Connects(bed.client) as client:
            assert told(client, two, "vms", NEW) == OLD
            before = two.log().count("[wrong]")
            assert client.to(two.address, "wrong", 0)["status"] not in (
                0, BAD_CLUSTER_DIALECT)
            lines = two.log().splitlines()
            wrong = [line for line in lines if "[wrong]" in line]
            assert len(wrong) == before + 1
            assert "csv:max cluster dialect = SMB4" in wrong[-1]
    finally:
        one.run("net", "conf", "delparm", "global", "csv:max cluster dialect")
        bed.reload_smbd()


def known(bed, node):
    """What the cluster knows of a node's smbd, as node1 says."""
    nodes = json.loads(bed.node(1).run(
        "sofs", "node", "state", "--json").stdout)["nodes"]
    return {n["node"]: n["max_dialect"] for n in nodes}[node.pnn]


def reload_csvd(node):
    """Let it read smb.conf again."""
    node.run("sh", "-c", "kill -HUP $(cat /run/csvd/csvd.pid)")


@contextlib.contextmanager
def speaks_less(bed, node):
    """Its smbd has an older one's highest dialect."""
    conf = node.dir / "etc/smb.conf"
    text = conf.read_text("utf-8")
    conf.write_text(text.replace(
        "[global]", "[global]\n\tserver max protocol = SMB3_02"), "utf-8")
    reload_csvd(node)
    try:
        proc.wait_until("it is known", lambda: known(bed, node) == "SMB3_02",
                        20, 0.2)
        yield
    finally:
        conf.write_text(text, "utf-8")
        if node.alive:
            reload_csvd(node)


def test_lowest_of_all_nodes(bed, volume):
    """While a node speaks less, no other lets clients speak more, new ones
    and those whose process is there already; it is down or speaks more: they
    may again. Who was there before goes on."""
    volume.make_share("any", **{"csv:max cluster dialect": "no"})
    one, two, three = bed.nodes

    def limit(client, node):
        return told(client, node, "vms", NEW)

    with Connects(bed.client) as client:
        assert limit(client, two) is None
        with speaks_less(bed, three):
            for node in (one, two):
                proc.wait_until("the limit", lambda n=node: limit(
                    client, n) == OLD, 10, 0.1)
                assert told(client, node, "vms", OLD) is None
                assert told(client, node, "any", NEW) is None
                assert told(client, node, "vms", NEW,
                            CLUSTER_RECONNECT) is None
            assert "up to SMB3_02" in one.log("csvd.log")
            faults.kill(three)
            proc.wait_until("no limit any more", lambda: limit(
                client, two) is None, 30, 0.2)
            volume.wait_active()
        faults.rejoin(three)    # as it was before
        bed.wait_healthy()
        proc.wait_until("it is known", lambda: known(
            bed, three) == "SMB3_11", 20, 0.2)
        assert limit(client, two) is None
        assert limit(client, three) is None
