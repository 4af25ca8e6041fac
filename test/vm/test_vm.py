# SPDX-License-Identifier: GPL-3.0-or-later
"""The Linux kernel's client: no system call of its application fails while
the volume moves, nor when its owner or the client's own node is killed."""

import json
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]
                       / "cluster"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from bed import Bed, faults         # noqa: E402
from bed.samba import USERS         # noqa: E402
from drive import Volume            # noqa: E402
from drive.witness import public_address    # noqa: E402
from vm import MODES, Machine       # noqa: E402

SECONDS = 300   # the machine's own end, should nobody tell it to stop
NODE_DIES_MS = 5000
STACK = "acl_xattr streams_xattr ca csv"


@pytest.fixture(name="bed")
def _bed():
    bed = Bed.up(nodes=3, volumes=1)
    yield bed
    bed.keep_logs("check-vm")
    bed.down()


@pytest.fixture(name="mounted")
def _mounted(bed):
    """A function that boots the machine, with a share of the volume mounted
    from an address, and returns it when its writers write."""
    machines = []

    def mounted(volume, server, more=""):
        volume.make_share("vms", **{"vfs objects": STACK})
        machine = Machine(bed, server, "vms", SECONDS, "alice",
                          USERS["alice"][1], more)
        machines.append(machine)
        machine.start()
        machine.wait_line("MOUNTED", 120)
        assert "CONTINUOUS" in machine.wait_line("Share Capabilities", 10)
        machine.wait_going_on(0, 60)
        return machine
    yield mounted
    for machine in machines:
        machine.stop()
        (bed.dir / "vm.log").write_text("\n".join(machine.lines) + "\n")


def values(line):
    """The NAME=NUMBER of a console line."""
    return {key: int(value) for key, value in
            re.findall(r"(\w+)=(\d+)", line)}


def gaps_ms(machine, since):
    """Longest gap of each writer since then."""
    return [machine.gap_ms(mode, since) for mode in MODES]


def text(gaps):
    """For people."""
    return ", ".join(f"{gap:.0f} ms ({mode})"
                     for gap, mode in zip(gaps, MODES))


def assert_verified(machine):
    """What was written is there after a new mount; no call failed."""
    assert not machine.told("ERROR")
    assert machine.told("EXIT") == ["EXIT 0"]
    for mode in MODES:
        written = values(machine.told(f"WRITTEN {mode} ")[0])
        read = values(machine.told(f"VERIFIED /mnt/{mode} ")[0])
        assert written["errors"] == read["errors"] == read["bad"] == 0
        assert written["blocks"] == read["blocks"] > 50


def end(machine):
    """All that was written is verified; how many blocks it is."""
    blocks = sum(machine.blocks(mode) for mode in MODES)
    machine.end_writing()
    machine.wait_line("UNMOUNTED", 120)
    assert_verified(machine)
    return blocks


def test_kernel_client_sees_no_error(bed, mounted, capsys):
    """Mounted hard through node2; the volume moves from node1 to node3, then
    node3 is killed: every write, fsync, close returns 0, data verified."""
    volume = Volume(bed).add(preferred=(0, 2, 1))
    machine = mounted(volume, bed.node(2).address)

    moving = len(machine.lines)
    volume.move(bed.node(3))
    machine.wait_going_on(moving, 60)
    volume.check(bed.node(3))
    moved = gaps_ms(machine, moving)

    dying = len(machine.lines)
    epoch = volume.epoch()
    faults.kill(bed.node(3))
    volume.wait_active(nodes=[bed.node(1), bed.node(2)], after=epoch)
    machine.wait_going_on(dying, 60)
    volume.check()
    died = gaps_ms(machine, dying)

    assert volume.redirected_bytes(bed.node(2)) > 0
    blocks = end(machine)
    with capsys.disabled():
        print(f"\nLinux {machine.kernel} client, {blocks} blocks, errors 0, "
              f"lost 0; longest gap: move {text(moved)}; owner killed "
              f"{text(died)}")


def test_kernel_client_loses_its_node(bed, mounted, capsys):
    """Mounted hard through a public address; the node that holds it, which
    owns nothing, is killed: the same, with the same handles, elsewhere, after
    at most 5 s. nostrictsync: this kernel's fsync sends a FLUSH but once, and
    fails when the connection does."""
    volume = Volume(bed).add(preferred=(0, 2, 1))
    assert volume.owner() == bed.node(1)
    address = public_address(bed.node(2))
    machine = mounted(volume, address, ",nostrictsync")

    dying = len(machine.lines)
    faults.kill(bed.node(2))
    machine.wait_going_on(dying, 60)
    volume.check(bed.node(1))
    died = gaps_ms(machine, dying)

    opens = json.loads(bed.node(1).run("sofs", "open", "list",
                                       "--json").stdout)["opens"]
    assert opens and not [one for one in opens if one["state"] != "connected"]
    assert bed.node_at(address) != bed.node(2)
    blocks = end(machine)
    with capsys.disabled():
        print(f"\nLinux {machine.kernel} client, {blocks} blocks, errors 0, "
              f"lost 0; longest gap: its node killed {text(died)}")
    assert max(died) <= NODE_DIES_MS
