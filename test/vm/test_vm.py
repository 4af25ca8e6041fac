# SPDX-License-Identifier: GPL-3.0-or-later
"""The Linux kernel's client: no system call of its application fails while
the volume moves, nor when its owner is killed."""

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
from vm import MODES, Machine       # noqa: E402

SECONDS = 300   # the machine's own end, should nobody tell it to stop
STACK = "acl_xattr streams_xattr ca csv"


@pytest.fixture(name="bed")
def _bed():
    bed = Bed.up(nodes=3, volumes=1)
    yield bed
    bed.keep_logs("check-vm")
    bed.down()


@pytest.fixture(name="machine")
def _machine(bed):
    machine = Machine(bed, bed.node(2).address, "vms", SECONDS, "alice",
                      USERS["alice"][1])
    yield machine
    machine.stop()
    (bed.dir / "vm.log").write_text("\n".join(machine.lines) + "\n")


def values(line):
    """The NAME=NUMBER of a console line."""
    return {key: int(value) for key, value in
            re.findall(r"(\w+)=(\d+)", line)}


def gaps_ms(machine, since):
    """Longest gap of each writer since then, for people."""
    return ", ".join(f"{machine.gap_ms(mode, since):.0f} ms ({mode})"
                     for mode in MODES)


def assert_verified(machine):
    """What was written is there after a new mount; no call failed."""
    assert not machine.told("ERROR")
    assert machine.told("EXIT") == ["EXIT 0"]
    for mode in MODES:
        written = values(machine.told(f"WRITTEN {mode} ")[0])
        read = values(machine.told(f"VERIFIED /mnt/{mode} ")[0])
        assert written["errors"] == read["errors"] == read["bad"] == 0
        assert written["blocks"] == read["blocks"] > 50


def test_kernel_client_sees_no_error(bed, machine, capsys):
    """Mounted hard through node2; the volume moves from node1 to node3, then
    node3 is killed: every write, fsync, close returns 0, data verified."""
    volume = Volume(bed).add(preferred=(0, 2, 1))
    volume.make_share("vms", **{"vfs objects": STACK})
    machine.start()
    machine.wait_line("MOUNTED", 120)
    assert "CONTINUOUS" in machine.wait_line("Share Capabilities", 10)
    machine.wait_going_on(0, 60)

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

    blocks = sum(machine.blocks(mode) for mode in MODES)
    assert volume.redirected_bytes(bed.node(2)) > 0
    machine.end_writing()
    machine.wait_line("UNMOUNTED", 120)
    assert_verified(machine)
    with capsys.disabled():
        print(f"\nLinux {machine.kernel} client, {blocks} blocks, errors 0, "
              f"lost 0; longest gap: move {moved}; owner killed {died}")
