# SPDX-License-Identifier: GPL-3.0-or-later
"""smbtorture's suites of persistent handles, leases and locks, on the whole
stack through a node that does not own the volume: nothing fails that passes on
Samba as it was published, and whatever fails is explained (doc/conformance.md,
made by test/cluster/conformance)."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess

import pytest

from bed import samba
from drive import Volume, accounted
from drive.torture import passed, torture_once
from drive.volume import CA_STACK

HERE = pathlib.Path(__file__).resolve().parent
REPORT = pathlib.Path(os.environ.get("SOFS_BUILD", samba.REPO / "build")) \
    / "report"
PROGRAM = HERE / "conformance"
REPEAT = 3

# What takes no longer than a second; the rest is in soak.
QUICK = """smb2.persistent-open.directory-disconnect
    smb2.persistent-open.deleteonclose-reconnect
    smb2.persistent-open.replay-reconnect smb2.persistent-open.replay-multi
    smb2.durable-v2-open.create-blob smb2.durable-v2-open.open-lease
    smb2.durable-v2-open.persistent-open-lease
    smb2.replay.replay-commands smb2.replay.replay-regular
    smb2.replay.replay4 smb2.replay.replay7
    smb2.lock.lock smb2.lock.contend smb2.lock.rw-exclusive
    smb2.lease.lease-epoch""".split()


@pytest.fixture(name="shares")
def _shares(bed):
    """(address, share): smbd's default VFS on the owner, ours elsewhere."""
    volume = Volume(bed).placed()
    volume.make_share("qstock", "conf-stock", **{
        "vfs objects": "acl_xattr streams_xattr"})
    volume.make_share("qours", "conf-ours", **{
        "vfs objects": CA_STACK})
    with accounted(volume):
        yield ((bed.node(1).address, "qstock"),
               (bed.node(2).address, "qours"))
    bed.unshare("qstock")
    bed.unshare("qours")


def all_of(client, side, tests):
    """What each of these tests said."""
    found = {}
    for test in tests:
        results, output = torture_once(client, *side, test)
        found[test] = next(iter(results.values()), "did not end")
        if found[test] != "success":
            print(output[-1000:])
    return found


@pytest.mark.patient
def test_quick_ones_pass_on_both(bed, shares):
    """What fails on one side is repeated; it must pass on ours."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        stock, ours = pool.map(lambda pair: all_of(*pair, QUICK),
                               zip(bed.clients, shares))
    missing = set(QUICK) - passed(ours)
    for _ in range(REPEAT):
        missing -= passed(all_of(bed.clients[1], shares[1], sorted(missing)))
    assert not missing, f"{missing}; stock passed {len(passed(stock))}"


def run_side(side, name, only=""):
    """The results of one side, on a bed of its own."""
    path = REPORT / f"conformance-{name}.json"
    before = [samba.REPO / "samba/stock"] if side == "stock" else []
    subprocess.run([*before, PROGRAM, side, path, only], check=True,
                   stdout=subprocess.DEVNULL, timeout=7200)
    return json.loads(path.read_text("utf-8"))


@pytest.mark.soak("a quarter of an hour")
def test_stock_samba_passes_nothing_more():
    """Everything, with nodes that are killed. What differs is repeated three
    times on both sides; what then passes on stock Samba each time and on ours
    never is a failure of ours."""
    REPORT.mkdir(parents=True, exist_ok=True)
    sides = {side: run_side(side, side) for side in ("stock", "ours")}
    for number in range(REPEAT):
        stock, ours = (sides[s]["results"] for s in ("stock", "ours"))
        missing = sorted((set(stock) - passed(ours)) & passed(stock))
        if not missing:
            break
        only = "^(" + "|".join(re.escape(name.partition(":")[2])
                               for name in missing) + ")$"
        for side in ("stock", "ours"):
            again = run_side(side, f"{side}-{number + 2}", only)["results"]
            worse = "success" if side == "ours" else None
            for name in missing:
                said = again.get(name, "not run")
                if worse is None or said == worse:
                    sides[side]["results"][name] = said
    for side, found in sides.items():
        (REPORT / f"conformance-{side}.json").write_text(
            json.dumps(found, indent=1) + "\n", "utf-8")
    done = subprocess.run(
        [PROGRAM, "table", REPORT / "conformance-stock.json",
         REPORT / "conformance-ours.json"],
        stdout=subprocess.PIPE, text=True, check=False)
    (REPORT / "conformance.md").write_text(done.stdout, "utf-8")
    print(done.stdout)
    assert done.returncode == 0
