# SPDX-License-Identifier: GPL-3.0-or-later
"""Move on connect: who asks for the owner is sent there, nobody else ever
sees an error."""

import itertools
import os
import signal
import subprocess
import threading
import time

from bed import net, proc
from drive import Connects, Running
from drive.connect import (ASYMMETRIC, CLUSTER, CONTINUOUS, TO_OWNER,
                           redirect_addresses, redirect_error)
from drive.preload import preloaded

SOAK = bool(os.environ.get("SOFS_SOAK"))
MOVES = 100 if SOAK else 5
ANNOUNCED = CONTINUOUS | CLUSTER | ASYMMETRIC
DISSECTED = {
    "smb2.error.context.id": 0x72645253,
    "smb2.error.share_redirect.struct_size": 48,
    "smb2.error.share_redirect.notif_type": 3,
    "smb2.error.share_redirect.target_type": 0,
}
COUNT = "smb2.error.share_redirect.ip_count"
NO_ADDRESS = "no address of the owner, node 0, is known"


def owner_addresses(node):
    """What the redirect must list: the public addresses that the node holds,
    then the one of ctdb."""
    out = node.run("ctdb", "-X", "ip", "all").stdout.splitlines()
    held = [line.split("|")[1] for line in out[1:]
            if line.split("|")[2] == str(node.number - 1)]
    return held + [net.cluster_address(node.number)]


def capabilities(answer):
    """Of a tree connect that succeeded, those of interest."""
    assert answer["status"] == 0, answer
    return answer["capabilities"] & (ANNOUNCED | TO_OWNER)


def test_redirected_to_the_owner(bed, volume):
    """By one error with exactly the bytes that MS-SMB2 wants; then every
    node accepts this client, and goes on redirecting others."""
    volume.make_share("owners")
    one, two, three = bed.nodes
    want = redirect_error("owners", owner_addresses(one)).hex()
    with Connects(bed.client) as client, \
            Connects(bed.clients[1]) as other:
        for node in bed.nodes:
            assert capabilities(client.to(node.address, "owners", 0)) == (
                ANNOUNCED)
        assert capabilities(client.to(one.address, "owners")) == (
            ANNOUNCED | TO_OWNER)
        answer = client.to(two.address, "owners")
        assert answer["error"] == want
        assert sorted(redirect_addresses(answer)) == sorted(
            owner_addresses(one))
        for node in bed.nodes:
            assert capabilities(client.to(node.address, "owners")) == (
                ANNOUNCED | TO_OWNER)
        assert other.to(three.address, "owners")["error"] == want
    volume.check(one)


def test_older_dialect_is_never_redirected(bed, volume):
    """SMB 3.0.2 has no such flag: whatever it sends is served."""
    with Connects(bed.client) as client:
        assert capabilities(client.to(
            bed.node(2).address, "vms", dialect=0x0302)) == ANNOUNCED
    volume.check(bed.node(1))


def test_options(bed, volume):
    """Switched off; kept at the client's site; a value that is none."""
    volume.make_share("stays", **{"csv:move on connect": "no"})
    volume.make_share("sites", **{"csv:site affinity": "yes"})
    volume.make_share("wrong", **{"csv:move on connect": "maybe"})
    one, two, three = bed.nodes
    one.run("net", "conf", "setparm", "global", "csv:sites",
            "berlin:0,1 paris:2")
    bed.reload_smbd()
    try:
        with Connects(bed.client) as client:
            assert not capabilities(client.to(two.address, "stays")) & (
                ASYMMETRIC | TO_OWNER)
            assert capabilities(client.to(three.address, "sites")) == (
                ANNOUNCED | TO_OWNER)
            assert redirect_addresses(client.to(two.address, "sites"))
            answer = client.to(two.address, "wrong")
            assert answer["status"] not in (0, 0xC00000CC)
    finally:
        one.run("net", "conf", "delparm", "global", "csv:sites")
        for share in ("stays", "sites", "wrong"):
            bed.unshare(share)


def test_owner_without_an_address(bed, volume):
    """Nobody can be sent to it: who asks is served where it came, and the log
    says so. That does not count as sent: once the owner has an address, the
    next connect goes there."""
    volume.make_share("hidden")
    two = bed.node(2)
    two.service("smbd", "stop")
    two.run("env", preloaded(bed, "no_addresses.c"), "smbd", "-D")
    try:
        logged = len(two.log())
        with Connects(bed.client) as client:
            assert capabilities(client.to(two.address, "hidden")) == (
                ANNOUNCED | TO_OWNER)
        assert NO_ADDRESS in two.log()[logged:]
    finally:
        two.service("smbd", "stop", check=False)
        two.service("smbd", "start")
    with Connects(bed.client) as client:
        assert redirect_addresses(client.to(two.address, "hidden")) == (
            owner_addresses(bed.node(1)))
    bed.wait_healthy()


def redirected(volume, nodes):
    """Operations of any kind; smbds write their counters each second."""
    time.sleep(1.5)
    return [volume.redirected_ops(node) for node in nodes]


def test_client_works_at_the_owner(bed, volume):
    """The test client, told of node2 only, ends at the owner before its first
    request for a file: no operation of any kind is redirected but what a
    tree connect without the flag is."""
    volume.make_share("direct")
    others = [bed.node(2), bed.node(3)]
    before = redirected(volume, others)
    with Connects(bed.client) as client:
        assert client.to(bed.node(2).address, "direct", 0)["status"] == 0
    connected = redirected(volume, others)
    connects = [now - was for now, was in zip(connected, before)]
    with Running(bed.client, "stream", "direct", "file", [bed.node(2)],
                 options=["--move-on-connect"]) as stream:
        begin = stream.status()["blocks_written"]
        proc.wait_until("100 blocks", lambda:
                        stream.status()["blocks_written"] > begin + 100,
                        30, 0.5)
        assert redirected(volume, others) == [
            was + more for was, more in zip(connected, connects)]
    report = stream.report
    assert report["exit_code"] == 0
    assert report["redirects"] == 1
    assert [link["address"] for link in report["links"]] == [
        owner_addresses(bed.node(1))[0]]


def follow(client, address, share):
    """Connect as Windows does; how often it was sent elsewhere."""
    answer = client.to(address, share, 0)
    assert capabilities(answer) & ASYMMETRIC
    for hops in itertools.count():
        answer = client.to(address, share)
        if answer["status"] == 0:
            return hops
        assert hops == 0, "two redirects in a row"
        address = redirect_addresses(answer)[0]


def test_connecting_while_it_moves(bed, volume):
    """A client that connects all the time, to each node in turn, never sees
    an error or two redirects in a row, however often the volume moves."""
    volume.make_share("moving")
    stop, hops, failed = threading.Event(), [], []

    def connect():
        try:
            with Connects(bed.client) as client:
                for node in itertools.cycle(bed.nodes):
                    if stop.is_set():
                        return
                    hops.append(follow(client, node.address, "moving"))
        except BaseException as why:  # pylint: disable=broad-except
            failed.append(why)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        for number in range(MOVES):
            before = len(hops)
            volume.move(bed.nodes[(number + 1) % 3])
            proc.wait_until("a connect", lambda: (
                len(hops) > before or failed), 30, 0.05)
            if failed:
                break
    finally:
        stop.set()
        thread.join(100)
    assert not failed, failed
    print(f"{len(hops)} connects, {sum(hops)} redirects, {MOVES} moves")
    assert sum(hops) >= 1
    assert not thread.is_alive()


def test_tshark_reads_the_redirect(bed, volume, tmp_path):
    """Wireshark's dissector finds on the wire what was meant: the head. Its
    version 4.0 takes the addresses for those of Windows' sockets and gives up
    before the name; test_redirected_to_the_owner compares all of it."""
    volume.make_share("dissected")
    capture = tmp_path / "connect.pcap"
    with bed.client.popen("tshark", "-i", "eth0", "-f", "tcp port 445", "-w",
                          capture, stderr=subprocess.PIPE,
                          text=True) as tshark:
        while "Capturing" not in tshark.stderr.readline():
            assert tshark.poll() is None
        with Connects(bed.client) as client:
            answer = client.to(bed.node(2).address, "dissected")
        want = owner_addresses(bed.node(1))
        assert redirect_addresses(answer) == want
        proc.wait_until("the packets", lambda: bytes.fromhex(
            answer["error"]) in capture.read_bytes(), 20, 0.2)
        tshark.send_signal(signal.SIGINT)
    words = ["tshark", "-r", capture, "-Y", "smb2.error.share_redirect",
             "-T", "fields"]
    for name in (*DISSECTED, COUNT):
        words += ["-e", name]
    rows = bed.client.run(*words).stdout.splitlines()
    assert len(rows) == 1
    assert [int(number, 0) for number in rows[0].split("\t")] == [
        *DISSECTED.values(), len(want)]
