# SPDX-License-Identifier: GPL-3.0-or-later
"""All nodes lose power at once."""

import concurrent.futures
import os
import shutil

from bed import checks, faults


def all_at_once(function, nodes):
    """The power of a whole room."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(function, nodes))


def test_power_cut_of_all_and_old_databases(bed, volume, tmp_path):
    """The first majority that comes back has no up-to-date database: one has
    an old copy, one none at all. What was acknowledged is there, no epoch
    comes again, and the node with the newest database, which comes last, is
    no owner under an old one."""
    first, two, three = bed.nodes
    old = tmp_path / "persistent"
    shutil.copytree(two.dir / "var/lib/ctdb/persistent", old)
    for node in (two, three, first):
        volume.move(node)
    data, back = tmp_path / "data", tmp_path / "back"
    data.write_bytes(os.urandom(1_000_003))
    bed.client.smbclient(two.address, "vms", f"put {data} outage")
    epoch = volume.epoch()

    all_at_once(faults.power_cut, bed.nodes)
    assert not bed.alive()
    for node, copy in ((two, old), (three, None)):
        folder = node.dir / "var/lib/ctdb/persistent"
        shutil.rmtree(folder)
        if copy:
            shutil.copytree(copy, folder)
    all_at_once(faults.rejoin, (two, three))
    bed.wait_healthy([two, three])
    owner = volume.wait_active(nodes=[two, three], timeout=40)
    newer = volume.epoch()
    assert newer > epoch
    assert "databases were lost" in owner.log("csvd.log")
    bed.client.smbclient(owner.address, "vms", f"get outage {back}")
    assert back.read_bytes() == data.read_bytes()

    faults.rejoin(first)
    bed.wait_healthy()
    volume.wait_active(after=newer - 1)
    checks.assert_mounted_only_on(bed, "vol1", volume.owner())
    assert "another owner" not in "".join(
        node.log("csvd.log") for node in (two, three))
