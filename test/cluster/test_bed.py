# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed itself; no volume of csvd takes part."""

import os
import signal
import subprocess

import pytest

from bed import BedError, checks, faults, fence, lun, proc
from bed.watch import Mounts
from drive import Volume

pytestmark = pytest.mark.patient
relied_on = pytest.mark.soak("other tests rely on it all the time")


@pytest.fixture(name="bed")
def _bed(bed):
    """The session's bed; these tests mount vol1 by hand, so csvd must not
    own it from an earlier test."""
    if bed.has_csvd and Volume(bed).declared():
        Volume(bed).remove()
        proc.wait_until("vol1 is free", lambda:
                        not checks.mounts(bed, "vol1"), 20)
    return bed


@pytest.fixture
def plain(bed):
    """A continuously available share on a directory that all nodes see."""
    bed.share("plain", bed.shared_dir("plain"),
              **{"continuous availability": "yes"})
    return bed


def write_mount(node, name="f", size="5M"):
    """Mount vol1 on a node and write a file that is not flushed."""
    node.run("mkdir", "-p", "/csv/vol1")
    node.run("mount", "/dev/csv/vol1", "/csv/vol1")
    node.run("dd", "if=/dev/urandom", f"of=/csv/vol1/{name}", f"bs={size}",
             "count=1", "iflag=fullblock", "status=none")


def reaches(source, address, port=445):
    """True when a TCP connection from there to the address opens."""
    return source.run("timeout", "1", "bash", "-c",
                      f"exec 3<>/dev/tcp/{address}/{port}",
                      check=False).returncode == 0


def test_comes_up_healthy(bed):
    """Each node calls each node OK; each public address is served."""
    for node in bed.nodes:
        assert bed.flags(node) == {1: "OK", 2: "OK", 3: "OK"}
    assert len(bed.public_ips(bed.nodes[0])) == 3


def test_file_through_every_node(plain, tmp_path):
    """What one node wrote, every other reads, on a CA share."""
    for node in plain.nodes:
        source = tmp_path / f"from{node.number}"
        source.write_bytes(os.urandom(100000))
        plain.client.smbclient(node.address, "plain",
                               f"put {source} {source.name}")
    for node in plain.nodes:
        for other in plain.nodes:
            back = tmp_path / "back"
            plain.client.smbclient(node.address, "plain",
                                   f"get from{other.number} {back}")
            assert back.read_bytes() == \
                (tmp_path / f"from{other.number}").read_bytes()


def test_users_are_separate(plain):
    """Files carry the unix user of who made them; no guest gets in."""
    for user in ("alice", "bob"):
        plain.client.smbclient(plain.nodes[1].address, "plain",
                               f"mkdir of-{user}", user=user)
    uids = [(plain.dir / f"shared/plain/of-{user}").stat().st_uid
            for user in ("alice", "bob")]
    assert uids == [2001, 2002]
    refused = plain.client.run(
        "smbclient", "-s", plain.client.dir / "smb.conf",
        f"//{plain.nodes[0].address}/plain", "-N", "-c", "ls", check=False)
    assert refused.returncode != 0


@relied_on
def test_kill_and_rejoin(plain):
    """Survivors become healthy and serve the dead node's address; the
    node comes back with what the cluster knew."""
    one, two, three = plain.nodes
    faults.kill(one)
    assert not one.pids()
    plain.wait_healthy([two, three])
    assert set(plain.public_ips(two).values()) == {2, 3}
    plain.client.smbclient("10.77.1.101", "plain", "mkdir after-kill")
    faults.rejoin(one)
    plain.wait_healthy()
    assert plain.shares(one) == ["plain"]
    assert 1 in plain.public_ips(two).values()
    plain.client.smbclient(one.address, "plain", "cd after-kill")


@relied_on
@pytest.mark.parametrize("who", ["leader", "member"])
def test_silence(plain, who):
    """A silent node is dropped by the others without any reset."""
    leader = plain.leader()
    member = next(n for n in plain.nodes if n != leader)
    victim = leader if who == "leader" else member
    others = [n for n in plain.nodes if n != victim]
    faults.silence(victim)
    assert not reaches(plain.client, victim.address)
    assert all(reaches(plain.client, n.address) for n in others)
    assert victim.pids("ctdbd")
    proc.wait_until("the others notice", lambda: all(
        plain.flags(n)[victim.number] != "OK" for n in others), 15)
    if who == "leader":
        # It still holds the cluster lock: only its end lets them go on.
        others[0].run("fence_bed", data=f"action=off\nport={victim.name}\n")
    plain.wait_healthy(others)


@relied_on
def test_hang(bed):
    """A node that stands still is dropped; resumed, it comes back."""
    leader = bed.leader()
    victim = next(n for n in bed.nodes if n != leader)
    others = [n for n in bed.nodes if n != victim]
    faults.hang(victim)
    assert {proc.state(p) for p in victim.pids()} <= {"T", "t"}
    bed.wait_healthy(others)
    faults.resume(victim)
    bed.wait_healthy(bed.nodes)


def test_partition(bed):
    """Groups do not hear each other, clients hear all."""
    one, two, three = bed.nodes
    faults.partition(bed, [one, two], [three])

    assert reaches(one, two.cluster_address)
    assert not reaches(one, three.cluster_address)
    assert not reaches(three, two.cluster_address)
    assert reaches(bed.client, three.address)
    faults.join(bed)
    assert reaches(one, three.cluster_address)


def test_power_cut_loses_what_was_not_flushed(bed):
    """After a power cut synced data is there, the rest is not."""
    one, two, _ = bed.nodes
    write_mount(one, "synced")
    one.run("sync", "-f", "/csv/vol1")
    one.run("dd", "if=/dev/urandom", "of=/csv/vol1/lost", "bs=5M",
            "count=1", "status=none")
    faults.power_cut(one)
    lun.detach_all(one.loops)
    two.run("mkdir", "-p", "/csv/vol1")
    two.run("mount", "/dev/csv/vol1", "/csv/vol1")
    sizes = two.run("sh", "-c", "cd /csv/vol1; for f in synced lost; do "
                    "stat -c %b $f 2>/dev/null || echo 0; done").stdout
    two.run("umount", "/csv/vol1")
    synced, lost = map(int, sizes.split())
    assert synced == 5 * 2048 and lost == 0


def test_double_mount_is_refused(bed):
    """A fencing fault would show: XFS refuses the same UUID twice."""
    one, two, _ = bed.nodes
    write_mount(one)
    two.run("mkdir", "-p", "/csv/vol1")
    second = two.run("mount", "/dev/csv/vol1", "/csv/vol1", check=False)
    assert second.returncode != 0
    checks.assert_volume(bed, "vol1", one)
    with pytest.raises(AssertionError):
        checks.assert_volume(bed, "vol1", two)
    one.run("umount", "/csv/vol1")
    checks.assert_mounted_only_on(bed, "vol1", None)


def test_foreign_descriptor_is_seen(bed):
    """The assertion on descriptors fails when one is there."""
    one, two, _ = bed.nodes
    with two.popen("bash", "-c", "exec 3</dev/csv/vol1; exec -a x sleep 60",
                   stdout=subprocess.DEVNULL) as child:
        proc.wait_until("held", lambda: checks.holders(bed, "vol1", "sleep"),
                        5)
        held = checks.holders(bed, "vol1", "sleep")
        os.killpg(child.pid, signal.SIGKILL)
    assert [node for node, _, _ in held] == [two]
    checks.assert_no_foreign_descriptor(bed, "vol1", one)


def test_flushes_are_counted(bed):
    """fsync on XFS reaches the device as a flush; nothing else does."""
    one = bed.nodes[0]
    write_mount(one)
    with checks.Flushed(bed, "vol1"):
        one.run("sync", "/csv/vol1/f")
    with pytest.raises(AssertionError), checks.Flushed(bed, "vol1"):
        one.run("cat", "/dev/null")
    one.run("umount", "/csv/vol1")


def test_fence_proves_its_success(bed):
    """Fencing a living owner cuts its storage and detaches its devices."""
    one, two, _ = bed.nodes
    write_mount(one, "unflushed")
    two.run("fence_bed", data=f"action=off\nplug={one.name}\n")
    assert not one.pids() and not one.loops() and not one.alive
    assert checks.mounts(bed, "vol1") == []
    assert two.run("fence_bed", "--action=status", f"--port={one.name}",
                   check=False).returncode == 2
    entry = bed.fence_log()[-2]
    assert entry["ok"] and entry["port"] == one.name
    assert entry["from"] == two.name


def test_fence_that_fails_or_hangs(bed):
    """In these modes nothing happens to the victim, nobody says success."""
    one, two, _ = bed.nodes
    bed.fence_mode("fail")
    assert two.run("fence_bed", data=f"action=off\nport={one.name}\n",
                   check=False).returncode == 1
    bed.fence_mode("hang")
    assert two.run("timeout", "2", "fence_bed", check=False,
                   data=f"action=off\nport={one.name}\n").returncode == 124
    assert one.alive and one.pids("ctdbd")


def test_dead_lun_for_one_node(bed):
    """One node gets EIO, another one still reads the LUN; then it heals."""
    one, two, _ = bed.nodes
    disk = bed.luns["vol1"]
    read = ("dd", "if=/dev/csv/vol1", "of=/dev/null", "bs=4096", "skip=999",
            "count=1", "iflag=direct", "status=none")
    disk.die(one)
    dead = one.run(*read[:-2], check=False)
    write = one.run("dd", "if=/dev/zero", "of=/dev/csv/vol1", "bs=4096",
                    "seek=999", "count=1", "oflag=direct", check=False)
    alive = two.run(*read, check=False)
    disk.heal(one)
    assert "0+0 records in" in dead.stderr and write.returncode != 0
    assert alive.returncode == 0
    one.run(*read)


def test_second_bed_side_by_side(bed, new_bed, tmp_path):
    """Two beds use the same addresses and do not see each other."""
    shares = bed.shares()
    other = new_bed(nodes=1, volumes=1)
    other.share("aside", other.shared_dir("aside"))
    (tmp_path / "x").write_text("x")
    other.client.smbclient(other.nodes[0].address, "aside",
                           f"put {tmp_path / 'x'} x")
    assert (other.dir / "shared/aside/x").exists()
    assert not (bed.dir / "shared/aside").exists()
    assert bed.shares() == shares
    bed.wait_healthy(bed.nodes)


@relied_on
def test_ctdbd_killed_and_smbd_stopped(bed):
    """Single daemons can be hit; reset brings the node back."""
    leader = bed.leader()
    one, two = [n for n in bed.nodes if n != leader]
    stopped = faults.stop_smbd(one)
    assert {proc.state(p) for p in stopped} <= {"T", "t", None}
    assert {proc.state(p) for p in two.pids("smbd")} <= {"S", "R"}
    faults.continue_smbd(one)
    faults.kill_ctdbd(two)
    assert "ctdbd" in two.missing()
    proc.wait_until("the others drop it", lambda:
                    bed.flags(leader)[two.number] != "OK", 15)
    bed.reset()
    assert not two.missing()


def test_two_mounts_are_seen(bed):
    """The watcher of mounts fails when two nodes have a LUN mounted, and not
    when one of them is shut down."""
    one, two, _ = bed.nodes
    mount = ("mount", "-o", "ro,norecovery,nouuid", "/dev/csv/vol1", "/mnt")
    try:
        with pytest.raises(AssertionError, match="vol1.*node1.*node2"):
            with Mounts(bed, "vol1") as watch:
                one.run(*mount)
                proc.wait_until("one mount", lambda:
                                watch.at_once["vol1"] == 1, 10)
                two.run(*mount)
                proc.wait_until("two mounts", lambda:
                                watch.at_once["vol1"] == 2, 10)
        lun.shut_down(f"{one.root}/mnt")
        assert Mounts(bed, "vol1").now() == {"vol1": ["node2"]}
    finally:
        for node in (one, two):
            node.run("umount", "/mnt", check=False)


@relied_on
def test_orderly_stop_and_start(plain):
    """ctdb shutdown moves the address away, a start brings it back."""
    one, two, three = plain.nodes
    one.stop_daemons()
    plain.wait_healthy([two, three])
    one.start_daemons()
    plain.wait_healthy(plain.nodes)
    plain.client.smbclient(one.address, "plain", "ls")


def test_unknown_node_is_an_error(bed):
    """A typing error does not fence or kill anybody."""
    with pytest.raises(BedError, match="no node node9"):
        bed.node("node9")
    answer = bed.nodes[0].run("fence_bed", "--action=off", "--port=node9",
                              check=False)
    assert answer.returncode == 1 and "no node" in answer.stderr
    number = bed.nodes[0].run("fence_bed", "--action=off", "--port=1",
                              check=False)
    assert number.returncode == 1 and "address is needed" in number.stderr
    assert all(n.alive for n in bed.nodes)
    assert fence.lun_mounts(bed.nodes[0]) == []
