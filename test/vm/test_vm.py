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
from vm import Machine              # noqa: E402

SECONDS = 45


@pytest.fixture(name="bed", scope="module")
def _bed():
    bed = Bed.up(nodes=3, volumes=1)
    yield bed
    bed.keep_logs("check-vm")
    bed.down()


def test_kernel_client_sees_no_error(bed):
    """Mounted hard through node2; the volume moves from node1 to node3, then
    node3 is killed: every write, fsync, close returns 0, data verified."""
    volume = Volume(bed).add(preferred=(0, 2, 1))
    volume.make_share("vms")
    machine = Machine(bed, bed.node(2).address, "vms", "disk.img", SECONDS,
                      "alice", USERS["alice"][1])
    try:
        machine.start()
        machine.wait_line("MOUNTED", 120)
        machine.wait_line("AT ", 60)
        volume.move(bed.node(3))
        volume.check(bed.node(3))
        moved = machine.gap_ms()
        before = len(machine.lines)
        epoch = volume.epoch()
        faults.kill(bed.node(3))
        volume.wait_active(nodes=[bed.node(1), bed.node(2)], after=epoch)
        result = machine.wait_line("RESULT", SECONDS + 120)
        machine.wait_line("UNMOUNTED", 60)
    finally:
        machine.stop()
        (bed.dir / "vm.log").write_text("\n".join(machine.lines) + "\n")
    print(result, f"gap until the move's end {moved} ms")
    assert before < len(machine.lines)
    assert not [line for line in machine.lines if line.startswith("ERROR")]
    values = dict(re.findall(r"(\w+)=(\d+)", result))
    assert values["errors"] == "0" and values["bad"] == "0"
    assert int(values["blocks"]) > 200
