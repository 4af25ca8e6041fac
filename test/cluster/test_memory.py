# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory: what many handles cost csvd, and that neither a disk that does not
answer nor a client that does not read makes csvd or smbd grow for ever."""

import os
import time

import pytest

from bed import checks, faults, proc
from drive import Running, Stream, Volume, accounted

# What is promised, and how much of it check tries.
PROMISED_SESSIONS, PROMISED = 100, 10000
SESSIONS, HANDLES = (PROMISED_SESSIONS, PROMISED) if os.environ.get(
    "SOFS_SOAK") else (40, 1000)
LIMIT_KIB = 200 * 1024
# Requests of a client in the tests of slowness, of 1 MiB each.
COUNT = 100
# What csvd may hold for one connection, and what malloc keeps beside it.
PER_CONNECTION_KIB = 64 * 1024


def resident(nodes, name="csvd"):
    """KiB of all processes of this name on these nodes."""
    total = 0
    for node in nodes:
        for pid in node.pids(name):
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                for line in status:
                    if line.startswith("VmRSS:"):
                        total += int(line.split()[1])
    return total


def settled(nodes, name, for_s=4, timeout=60):
    """The memory once it has not grown for a while; fails if it always
    does."""
    seen = [(resident(nodes, name), time.monotonic())]

    def still():
        now = resident(nodes, name)
        if now > seen[0][0] + 512:
            seen[0] = (now, time.monotonic())
        return time.monotonic() - seen[0][1] >= for_s
    proc.wait_until(f"{name} grows no more", still, timeout, 0.5)
    return seen[0][0]


@pytest.fixture(name="volume")
def _volume(bed):
    """vol1, Active, owned by node1, with the share plain."""
    with accounted(Volume(bed).ready()) as volume:
        volume.make_share("plain", **{"continuous availability": "no"})
        yield volume


def test_many_handles(bed, volume):
    """100 connections and 10,000 open handles: csvd of the owner and of the
    node that redirects, all processes together, stay below 200 MiB. Except in
    soak there are fewer of each; what the connections and the handles have
    added counts as often as it takes."""
    where = bed.nodes[:2]
    more = HANDLES - SESSIONS
    none = resident(where)
    with Running(bed.client, "many", "plain", "m", [bed.node(2)],
                 options=["--sessions", SESSIONS, "--count", SESSIONS],
                 ready_s=200) as many:
        first = resident(where)
        status = many.command(f"more {more}", "opened", 500)
        assert status["handles"] == HANDLES and not status["errors"]
        held = volume.state(bed.node(1))["counters"]["handles"]
        then = resident(where)
        promised = none + (first - none) * PROMISED_SESSIONS // SESSIONS \
            + (then - first) * (PROMISED - PROMISED_SESSIONS) // more
        print(f"csvd: {none} KiB, {first} KiB with {SESSIONS} connections, "
              f"{then} KiB with {held} handles, {promised} KiB for "
              f"{PROMISED_SESSIONS} and {PROMISED}")
        assert held >= HANDLES
        assert promised <= LIMIT_KIB
        volume.check(bed.node(1))
    many.assert_no_error()


@pytest.fixture(name="slow")
def _slow(bed):
    """A volume on the LUN "disk", which can be blocked."""
    if "disk" not in bed.luns:
        bed.add_lun("disk", size="512M", store="btrfs")
    volume = Volume(bed, "disk").add(preferred=(0, 2, 1))
    volume.make_share("files")
    with accounted(volume):
        yield volume
    volume.remove()
    proc.wait_until("disk is free", lambda: not checks.mounts(bed, "disk"),
                    30)


def flood(client, node, name):
    """A client with 100 requests of 1 MiB outstanding, reads and writes."""
    return Running(client, "outstanding", "files", name, [node], options=[
        "--count", COUNT, "--block", 1024 * 1024, "--max-credits", 8192,
        "--echo-timeout-ms", 120000])


def test_blocked_disk_fills_no_memory(bed, slow):
    """The owner's disk does not answer while a client goes on writing: csvd
    holds what its credits allow, smbd what the client sent."""
    disk, owner, node = bed.luns["disk"], [bed.node(1)], [bed.node(2)]
    epoch = slow.epoch()
    with flood(bed.client, bed.node(2), "blocked") as out:
        csvd, smbd = resident(owner), resident(node, "smbd")
        disk.block()
        try:
            more_csvd = settled(owner, "csvd") - csvd
            more_smbd = settled(node, "smbd") - smbd
            print(f"blocked: csvd +{more_csvd} KiB, smbd +{more_smbd} KiB")
            assert out.command("status", "status")["outstanding"] == COUNT
        finally:
            disk.unblock()
        assert more_csvd <= PER_CONNECTION_KIB
        assert more_smbd <= 2 * COUNT * 1024
    out.assert_no_error()
    assert slow.epoch() == epoch


def test_client_that_does_not_read(bed, slow):
    """An smbd that is stopped while it has requests outstanding: what csvd
    keeps for it is bounded, other nodes go on."""
    with flood(bed.client, bed.node(2), "deaf") as out, \
            Stream(bed.clients[1], "files", "beside", [bed.node(3)],
                   verify_through=bed.node(1)) as stream:
        before = resident([bed.node(1)])
        faults.stop_smbd(bed.node(2))
        try:
            more = settled([bed.node(1)], "csvd") - before
            print(f"deaf client: csvd +{more} KiB")
            stream.more_blocks()
        finally:
            faults.continue_smbd(bed.node(2))
        assert more <= PER_CONNECTION_KIB
    out.assert_no_error()
    stream.assert_whole()
