# SPDX-License-Identifier: GPL-3.0-or-later
"""Who fences, and when: one node at a time; an administrator's test; and that
a csvd that was killed leaves no agent behind that mounts something later."""

import os
import shutil
import signal
import time

import pytest

from bed import checks, faults, proc
from bed.errors import BedError
from drive import Stream

FENCE_AGENT = "fence_bed"
ROOT = "slow-ocf"               # below /shared
SLOW = f"/shared/{ROOT}/slow"
WRAPPER = f"""#!/bin/sh
[ "$1" != start ] || [ ! -e {SLOW} ] || timeout 60 sleep 20
exec /usr/lib/ocf/resource.d/heartbeat/Filesystem "$@"
"""


def test_one_node_fences(bed, volume):
    """Both survivors may, the first one's agent takes 3 s: the other waits,
    and does not fence again what is fenced."""
    bed.fence_mode("hang")
    before, epoch = len(bed.fence_log()), volume.epoch()
    survivors = [bed.node(2), bed.node(3)]
    faults.kill(bed.node(1))

    def agents():
        return [pid for node in survivors for pid in node.pids(FENCE_AGENT)]
    proc.wait_until("an agent runs", agents, 20, 0.05)
    end, most = time.monotonic() + 3.5, 0
    while time.monotonic() < end:
        most = max(most, len(agents()))
        time.sleep(0.05)
    assert most == 1
    bed.fence_mode("succeed")
    volume.wait_active(nodes=survivors, after=epoch)
    asked = [f for f in bed.fence_log()[before:] if f["action"] == "off"]
    assert [(f["port"], f["ok"]) for f in asked] == [("node1", True)]
    faults.rejoin(bed.node(1))
    bed.wait_healthy()


def test_an_administrator_tries_the_agent(bed, volume):
    """status changes nothing; off only where nothing is owned."""
    owner, one, two = bed.nodes
    epoch = volume.epoch()

    def tries(*args, node=one, check=True):
        return volume.sofs("volume", "test-fence", "vol1", *args, node=node,
                           check=check)
    for node in bed.nodes:
        out = tries("--node", node.name).stdout
        assert "the fence agent answers in" in out and "on" in out
    for args, node in ((("--node", owner.name, "--really"), one),
                       (("--node", "1", "--really"), one),
                       (("--node", "9"), one), ((), one)):
        done = tries(*args, node=node, check=False)
        assert done.returncode in (1, 2) and done.stderr, args
    assert bed.alive() == bed.nodes
    bed.fence_mode("fail")
    done = tries("--node", two.name, "--really", check=False)
    assert done.returncode == 1 and "told to fail" in done.stderr
    assert two.alive
    bed.fence_mode("succeed")
    assert "fenced in" in tries("--node", two.name, "--really").stdout
    assert not two.alive
    assert volume.epoch() == epoch and volume.owner(one) == owner
    faults.rejoin(two)
    bed.wait_healthy()


@pytest.fixture(name="slow")
def _slow(bed, volume):
    """The Filesystem agent of all nodes, whose start takes 20 s as long as
    SLOW exists."""
    root = bed.dir / "shared" / ROOT
    folder = root / "resource.d/heartbeat"
    shutil.rmtree(root, ignore_errors=True)     # of a test that failed
    folder.mkdir(parents=True)
    (root / "lib").symlink_to("/usr/lib/ocf/lib")
    agent = folder / "Filesystem"
    agent.write_text(WRAPPER, "ascii")
    agent.chmod(0o755)

    def tell(*args):
        bed.node(1).run("net", "conf", *args, "global", "csv:ocf root",
                        *([f"/shared/{ROOT}"] if args[0] == "setparm" else []))
        for node in bed.alive():
            for pid in faults.csvd_pids(node)[0]:
                proc.send(pid, signal.SIGHUP)
        time.sleep(1)
    tell("setparm")
    (root / "slow").touch()
    yield root / "slow"
    (root / "slow").unlink(missing_ok=True)
    tell("delparm")
    volume.wait_active()
    shutil.rmtree(root)


def test_successor_dies_while_it_takes_over(bed, volume, slow):
    """The owner dies, then the next one while it starts the storage: the
    third one fences both, once the first is back and makes a majority."""
    owner = bed.node(1)
    epoch = volume.epoch()
    last = {}

    def starting():
        for node in (bed.node(2), bed.node(3)):
            if node.pids("Filesystem"):
                last["is"] = node
                return True
        return False
    third = Stream(bed.client, "vms", "successors", bed.nodes[1:],
                   verify_through=owner)
    with third as stream:
        faults.kill(owner)
        proc.wait_until("the successor starts it", starting, 30, 0.02)
        successor = last["is"]
        left, = [n for n in bed.nodes if n not in (owner, successor)]
        assert volume.state(left)["owner"] == successor.pnn
        faults.power_cut(successor)
        slow.unlink()
        faults.rejoin(owner)
        volume.wait_active(nodes=[owner, left], after=epoch + 1, timeout=90)
        checks.assert_mounted_only_on(bed, "vol1", volume.owner(left))
        stream.more_blocks()
        faults.rejoin(successor)
        bed.wait_healthy()
        volume.wait_active()
    stream.assert_whole()
    assert {f["port"] for f in bed.fence_log()[-2:]} <= {owner.name,
                                                         successor.name}


def test_no_agent_outlives_its_csvd(bed, volume, slow):
    """csvd of the new owner is killed while the mount is about to happen:
    the next one finds none of it, and the volume goes on."""
    target = bed.node(3)
    epoch = volume.epoch()
    with pytest.raises(BedError):
        volume.sofs("volume", "move", "vol1", "--to", target.number - 1,
                    "--wait", "--timeout", "2")
    late = target.pids("Filesystem") + target.pids("timeout") \
        + target.pids("sleep")
    assert len(late) >= 3
    slow.unlink()
    victims = faults.kill_csvd(target)
    proc.wait_until("a new csvd", lambda: set(faults.csvd_pids(target)[1])
                    - set(victims), 10, 0.05)
    assert not [pid for pid in late if os.path.exists(f"/proc/{pid}")
                and proc.state(pid) != "Z"]
    volume.wait_active(after=epoch)
    checks.assert_mounted_only_on(bed, "vol1", volume.owner())
