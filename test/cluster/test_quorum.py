# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster lock by votes: an isolated holder loses it in time, the majority
has it in time, nobody else ever has it."""

import os
import signal
import time

import pytest

from bed import checks, faults, proc, samba
from drive import Volume, quorum

pytestmark = pytest.mark.long
SOAK = bool(os.environ.get("SOFS_SOAK"))
LOST_S, TAKEN_S = 3, 4
WATCH_S = 8     # two periods of CTDB's leader timeout, and more


@pytest.fixture(name="bed")
def _bed(bed):
    """Without a volume: nobody is fenced for owning one."""
    volume = Volume(bed)
    if volume.declared():
        volume.remove()
        proc.wait_until("nobody has it mounted", lambda: not
                        checks.mounts(bed, volume.name), 20, 0.1)
    return bed


class Watch:
    """From a fault on: when the old holder's helper ended, when a majority
    of the others' voters called somebody else the holder."""

    def __init__(self, bed, old):
        self.bed, self.old = bed, old
        self.others = [n for n in bed.nodes if n != old]
        self.helpers = set(quorum.helpers(old))
        self.seen = {n: len(n.log("quorum.log")) for n in self.others}
        assert self.helpers, "the holder has no helper"
        self.began = time.monotonic()
        self.lost = self.taken = None

    def _holders(self):
        """Nodes that the others' voters called the holder since."""
        return [line.split("voting for node ")[1].split()[0]
                for node in self.others
                for line in node.log("quorum.log")[self.seen[node]:]
                .splitlines() if ", holder)" in line]

    def look(self):
        """Note what is so now."""
        now = time.monotonic() - self.began
        if self.lost is None and (
                not self.old.alive
                or not self.helpers & set(quorum.helpers(self.old))):
            self.lost = now
        needed = len(self.bed.nodes) // 2 + 1
        for number in set(self._holders()):
            if self.taken is None and \
                    self._holders().count(number) >= needed:
                self.taken = now

    def both(self):
        """True when both have happened."""
        self.look()
        return self.lost is not None and self.taken is not None


def leader_and_others(bed):
    """The holder of the lock, which leads the cluster, and the other two."""
    old = quorum.wait_holder(bed, bed.nodes[0])
    assert bed.leader() == old
    return old, [n for n in bed.nodes if n != old]


def assert_nobody_holds(node):
    """What runs there does not hold the lock: it would be its own voter's
    holder. A node that was fenced holds nothing."""
    if not node.alive:
        return
    said = [v for v in quorum.voters(node) if v.get("node") == node.pnn]
    assert not (said[0].get("holder")
                and said[0].get("votes_for") == node.pnn), said


@pytest.mark.quiet
def test_isolated_holder_loses_it_to_the_majority(bed):
    """The leader's packets are dropped."""
    old, others = leader_and_others(bed)
    watch = Watch(bed, old)
    faults.silence(old)
    proc.wait_until("lost here, taken there", watch.both, 20, 0.02)
    print(f"lost after {watch.lost:.2f} s, taken after {watch.taken:.2f} s")
    assert watch.lost <= watch.taken
    assert watch.lost <= LOST_S
    assert watch.taken <= TAKEN_S
    new = quorum.wait_holder(bed, others[0], others)
    assert_nobody_holds(old)
    faults.join(bed)
    bed.wait_healthy(timeout=90)
    assert quorum.holder(old) == new, "healing took it from its holder"


@pytest.mark.soak("half a minute")
@pytest.mark.quiet
def test_killed_holder_is_followed(bed):
    """Its votes last for their time, no longer."""
    old, others = leader_and_others(bed)
    watch = Watch(bed, old)
    faults.kill(old)
    proc.wait_until("taken", watch.both, 20, 0.02)
    print(f"taken after {watch.taken:.2f} s")
    assert watch.taken <= TAKEN_S
    assert quorum.wait_holder(bed, others[0], others) in others


def _stays(bed, old, asked, seconds=WATCH_S):
    """The holder's helper lives, and everybody who is asked calls it so."""
    helpers = set(quorum.helpers(old))
    end = time.monotonic() + seconds
    rounds = 0

    def over():
        nonlocal rounds
        assert helpers & set(quorum.helpers(old)), "the holder lost it"
        assert {quorum.holder(node) for node in asked} == {old}
        rounds += 1
        return time.monotonic() >= end
    proc.wait_until("the time of watching", over, seconds + 20, 0.2)
    assert rounds > 2


def wait_try(node, before):
    """Wait until the node tries to get the lock once more."""
    proc.wait_until(f"{node.name} tries", lambda: tries(node) > before, 30,
                    0.1)


def tries(node):
    """How often its CTDB has begun to take the lock."""
    return node.log("log.ctdb").count("Attempting to take cluster lock")


@pytest.mark.soak("half a minute")
def test_isolated_other_does_not_disturb(bed):
    """Another node's packets are dropped: the holder stays, and the isolated
    one does not get it although it tries."""
    old, others = leader_and_others(bed)
    before = tries(others[0])
    faults.silence(others[0])
    wait_try(others[0], before)
    _stays(bed, old, [old, others[1]])
    assert_nobody_holds(others[0])


@pytest.mark.parametrize("with_holder", [True, pytest.param(
    False, marks=pytest.mark.soak("a quarter of a minute"))])
def test_link_between_two_of_three(bed, with_holder):
    """Only two of the three do not reach each other: one holder, always the
    same, also when it is one of the two."""
    old, others = leader_and_others(bed)
    one = old if with_holder else others[1]
    faults.partition(bed, [one], [others[0]])
    _stays(bed, old, [old])
    assert_nobody_holds(others[0])
    assert_nobody_holds(others[1])


def test_a_voter_restarts(bed):
    """A voter that is killed is started again, is quiet for a lease, then
    votes for the holder that two others kept."""
    old, others = leader_and_others(bed)
    helpers = quorum.helpers(old)
    _, victim = quorum.voter(others[0])
    seen = len(others[0].log("quorum.log"))
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)

    def votes():
        return "voting for node" in others[0].log("quorum.log")[seen:]
    proc.wait_until("it votes again", votes, 10, 0.02)
    assert time.monotonic() - began >= 2, "it voted within a lease"
    assert set(helpers) & set(quorum.helpers(old))
    assert quorum.holder(others[1]) == old


def test_voters_talk_to_members_only(bed):
    """With another key no voter but the own node's (a local socket) says
    anything."""
    node = bed.nodes[0]
    node.run("sh", "-c", "umask 077; echo csvq1 1 "
             + "ab" * 32 + " >/tmp/wrong.key")
    out = node.run("/bed/bin/csv_quorum_helper", "--key", "/tmp/wrong.key",
                   "--status", check=False)
    assert out.returncode == 1
    assert out.stdout.count('"answers": true') == 1
    assert "votes_for" in out.stdout and node.run(
        "/bed/bin/csv_quorum_helper", "--status").returncode == 0
    node.run("chmod", "644", "/tmp/wrong.key")
    out = node.run("/bed/bin/csv_quorum_helper", "--key", "/tmp/wrong.key",
                   "--status", check=False)
    assert out.stdout.count('"answers": true') == 1


# half a minute each: one of them in check, all in soak
@pytest.mark.parametrize("kind", quorum.THIRD if SOAK else ["disk"])
def test_two_nodes_and_a_third_vote(new_bed, kind):
    """Cut from each other, the holder keeps it; dead, the other one gets it;
    without the third vote as well, nobody has it."""
    bed = new_bed(nodes=2, clients=2, cluster_lock=quorum.THIRD[kind])
    one, two = bed.nodes
    old = quorum.wait_holder(bed, one)
    new = two if old == one else one
    proc.wait_until("the third vote is the holder's", lambda: quorum.votes(
        old) == [old.pnn] * 3, 20, 0.2)
    helpers, before = set(quorum.helpers(old)), tries(new)
    faults.partition(bed, [one], [two])
    wait_try(new, before)
    _stays(bed, old, [old])
    assert_nobody_holds(new)
    faults.join(bed)
    bed.wait_healthy(timeout=90)
    assert helpers & set(quorum.helpers(old))
    began = time.monotonic()
    faults.kill(old)
    quorum.wait_holder(bed, new, [new])
    took = time.monotonic() - began
    print(f"{kind}: taken after {took:.2f} s")
    # one run: the median of many is within the limit, none above twice it
    assert took <= 2 * TAKEN_S
    assert quorum.votes(new) == [new.pnn] * 2     # and two voters answer


def _stays_away(bed, volume, node):
    """The node, alone, says whom it waits for, owns nothing, fences nobody."""
    proc.wait_until("it says why", lambda: "may have a newer database" in
                    volume.reason(node), 60, 0.2)
    fences = len(bed.fence_log())
    end = time.monotonic() + WATCH_S

    def over():
        assert not checks.mounts(bed, volume.name)
        assert "may have a newer database" in volume.reason(node)
        return time.monotonic() >= end
    proc.wait_until("the time of watching", over, WATCH_S + 20, 0.2)
    assert len(bed.fence_log()) == fences
    return volume.reason(node)


@pytest.mark.soak("a minute each")
@pytest.mark.parametrize("kind", quorum.THIRD)
def test_old_database_comes_up_first(new_bed, tmp_path, kind):
    """Of two nodes one dies, the other takes over alone and dies, the first
    comes up alone, with a database that knows nothing of that: it waits. The
    other comes back: everything goes on after its epoch, and with both there
    again either may go on alone."""
    bed = new_bed(nodes=2, clients=2, volumes=1,
                  cluster_lock=quorum.THIRD[kind])
    one, two = bed.nodes
    volume = Volume(bed).add(preferred=(0, 1))
    assert volume.wait_active() == one
    volume.make_share("vms")
    one.run("sync", "-f", volume.path)
    data, back = tmp_path / "data", tmp_path / "back"
    data.write_bytes(os.urandom(300_001))

    epoch = volume.epoch()
    faults.power_cut(one)
    volume.wait_active(owner=two, nodes=[two], after=epoch)
    bed.client.smbclient(two.address, "vms", f"put {data} alone")
    epoch = volume.epoch()
    faults.power_cut(two)

    faults.rejoin(one)
    bed.wait_healthy([one], timeout=90)
    why = _stays_away(bed, volume, one)
    print(f"{kind}: {why}")
    assert f"waiting for node {two.pnn}" in why
    third = quorum.voters(one)[-1]
    assert third["noted"] == 0 and third["noted_by"] == two.pnn

    faults.rejoin(two)
    bed.wait_healthy(timeout=90)
    owner = volume.wait_active(after=epoch)
    volume.check(owner)
    bed.client.smbclient(one.address, "vms", f"get alone {back}")
    assert back.read_bytes() == data.read_bytes()

    epoch, other = volume.epoch(), two if owner == one else one
    faults.kill(owner)
    volume.wait_active(owner=other, nodes=[other], after=epoch)


@pytest.mark.soak("half a minute")
def test_third_vote_goes_and_comes(new_bed):
    """The share outside of the cluster ends: two of three votes are enough;
    then the other node, too: lost. The share comes back: one of the two, still
    cut from each other, gets it."""
    bed = new_bed(nodes=2, clients=2, cluster_lock=quorum.smb_share)
    old = quorum.wait_holder(bed, bed.nodes[0])
    new = [n for n in bed.nodes if n != old][0]
    quorum.stop_smbd(bed)
    proc.wait_until("two votes are left", lambda: quorum.votes(
        old) == [old.pnn] * 2, 20, 0.2)
    _stays(bed, old, [old])
    helpers = set(quorum.helpers(old))
    began = time.monotonic()
    faults.partition(bed, [old], [new])
    proc.wait_until("lost", lambda: not helpers & set(quorum.helpers(old)),
                    10, 0.02)
    assert time.monotonic() - began <= LOST_S
    quorum.start_smbd(bed)

    def holders():
        return [node for node in bed.nodes if quorum.holder(node) == node]
    proc.wait_until("a holder", holders, 60, 0.2)
    assert len(holders()) == 1


def test_no_volume_without_it(new_bed):
    """csvd owns no volume of one mount when the cluster lock is a file."""
    bed = new_bed(nodes=1, volumes=1, cluster_lock=samba.FILE_LOCK)
    volume = Volume(bed)
    volume.sofs("volume", "add", "vol1", "--device", "/dev/csv/vol1",
                "--fstype", "xfs", "--fence", "fence_bed")
    proc.wait_until("the reason is said", lambda: any(
        "csv_quorum_helper" in (n["reason"] or "")
        for n in volume.state()["nodes"]), 20, 0.2)
    assert volume.owner() is None
    conf = bed.nodes[0].dir / "etc/smb.conf"
    conf.write_text(conf.read_text("utf-8").replace(
        "[global]", "[global]\n\tcsv:require quorum = no"), "utf-8")
    supervisors, _ = faults.csvd_pids(bed.nodes[0])
    proc.send(supervisors[0], signal.SIGHUP)
    volume.wait_active()
