# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner loses power at a named point of a client's operation: the client
gets the right answer from the next owner, and what a second client changed in
between and was told stays. (Each operation at each point: test/unit/
test_replay.c.)"""

import concurrent.futures
import os

import pytest

from bed import faults, proc
from test_daemon import signal_csvd

# the first client's command, where in csvd, what the second does then,
# what must be there at the end
CASES = {
    "unlink, then another file": (
        "del f", "after unlink", "f", {"f": "theirs"}),
    "rename, then another file": (
        "rename f g", "after rename", "f", {"f": "theirs", "g": "first"}),
    "unlink, not recorded": ("del f", "made unlink", None, {}),
    "unlink, not begun": ("del f", "before unlink", None, {}),
    "rename, not recorded": (
        "rename f g", "made rename", None, {"g": "first"}),
    "rename, only begun": (
        "rename f g", "begun rename", None, {"g": "first"}),
    "mkdir, not answered": ("mkdir d", "after mkdir", None, {"f": "first"}),
}


@pytest.fixture(name="fault")
def _fault(bed):
    """A function that arms node1's csvd; it returns a function that says
    whether the point was hit. smb.conf is put right again."""
    conf = bed.node(1).dir / "etc/smb.conf"
    text = conf.read_text("utf-8")
    bed.node(1).run("rm", "-f", "/run/csvd/fault")

    def said():
        return bed.node(1).log("csvd.log").count("will fail on purpose")

    def arm(point):
        conf.write_text(text.replace(
            "[global]\n", f"[global]\n\tcsv:fault = {point} wait\n"
            "\tcsv:fault file = /run/csvd/fault\n"), "utf-8")
        before = said()
        signal_csvd(bed.node(1), "HUP")
        proc.wait_until("the fault is armed", lambda: said() > before, 10,
                        0.05)
        return lambda: bed.node(1).run("test", "-e", "/run/csvd/fault",
                                       check=False).returncode == 0
    yield arm
    conf.write_text(text, "utf-8")


def put(bed, client, node, name, content):
    """Write a file through a node."""
    source = bed.dir / "shared" / f"content-{content}"
    source.parent.mkdir(exist_ok=True)
    source.write_text(content, "ascii")
    client.smbclient(node.address, "vms", f"put {source} {name}")


@pytest.mark.parametrize("case", [c if not number else pytest.param(
    c, marks=pytest.mark.soak("half a minute"))
    for number, c in enumerate(CASES)])
def test_owner_dies_at(bed, volume, fault, case):
    """Power cut of the owner at the point, with the operation's smbd and the
    second client on two other nodes."""
    command, point, then, there = CASES[case]
    bed.node(1).run("sh", "-c", "rm -rf /csv/vol1/vms/[dfg]")
    put(bed, bed.client, bed.node(2), "f", "first")
    hit = fault(point)
    epoch = volume.epoch()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(bed.client.smbclient, bed.node(2).address, "vms",
                            command, timeout=90)
        proc.wait_until(f"csvd is at {point}",
                        lambda: hit() or first.done(), 20, 0.05)
        assert hit(), first.result()
        if then is not None:
            put(bed, bed.clients[1], bed.node(3), then, "theirs")
        assert not first.done()
        faults.power_cut(bed.node(1))
        owner = volume.wait_active(nodes=[bed.node(2), bed.node(3)],
                                   after=epoch)
        done = first.result(90)
    assert "NT_STATUS" not in done.stdout + done.stderr
    directory = owner.root + "/csv/vol1/vms"
    found = {name: open(f"{directory}/{name}", encoding="ascii").read()
             for name in os.listdir(directory) if name in "fg"}
    assert found == there
    assert os.path.isdir(f"{directory}/d") == command.startswith("mkdir")
