# SPDX-License-Identifier: GPL-3.0-or-later
"""Random faults for hours: two volumes, six clients that write all the time.
Nothing is lost or doubled, no client is told an error, no volume ever has two
mounts that are not shut down, and everything is well again after each fault.

SOFS_FAULTS           how many (1000)
SOFS_FAULT_SECONDS    and for how long at least (3600)
SOFS_SEED             what is drawn; printed, and in the report
SOFS_FAULT_FIRST      the number of the first: a single fault again
SOFS_FAULT_ONLY       words in the names of the faults that may come
"""

import os
import secrets
import time

import pytest

from bed.watch import Mounts
from soak import FAULTS, Clients, Mender, Plan, Scene, Table

SOAK = bool(os.environ.get("SOFS_SOAK"))
COUNT = int(os.environ.get("SOFS_FAULTS", "1000"))
SECONDS = float(os.environ.get("SOFS_FAULT_SECONDS", "3600"))
FIRST = int(os.environ.get("SOFS_FAULT_FIRST", "0"))
ONLY = os.environ.get("SOFS_FAULT_ONLY", "")
# Clients read back what they wrote, and new ones begin, after so many.
LEG = 25


class Soak:
    """One run of it."""

    def __init__(self, scene, watch, seed):
        chosen = [f for f in FAULTS if ONLY in f.name]
        self.plan = Plan(seed, chosen)
        self.scene, self.bed, self.watch = scene, scene.bed, watch
        self.table = Table(seed, faults_wanted=COUNT,
                           clients=len(scene.bed.clients),
                           volumes=len(scene.volumes))
        self.mender = Mender(scene)
        self.number, self.began = FIRST, time.monotonic()
        self.leg_first = FIRST

    def over(self):
        """Enough faults, and enough time."""
        return (self.number - FIRST >= COUNT
                and time.monotonic() - self.began >= SECONDS)

    def _fault(self, clients, planned):
        hit = self.scene.place(planned)
        clients.wait_going_on()
        fences, epochs = len(self.bed.fence_log()), self.scene.epochs()
        print(f"fault {planned} = {hit.victim.name}, beside it "
              f"{hit.peer.name}, {hit.volume.name}", flush=True)
        self.bed.mark(f"fault {planned}, {hit.victim.name}")
        self.table.between(clients.mark(str(planned.number)))
        planned.fault.begin(hit)
        time.sleep(planned.seconds)     # the fault's own length
        planned.fault.end(hit)
        back_s = self.mender.mend()
        clients.wait_going_on()
        gap_ms = clients.mark(f"after {planned.number}")
        asked = [f for f in self.bed.fence_log()[fences:]
                 if f["action"] != "status"]
        fenced = sum(f["ok"] for f in asked)
        print(f"    gap {gap_ms:.0f} ms, well again after {back_s:.1f} s, "
              f"fenced {fenced}", flush=True)
        self._judge(planned.fault, asked, epochs)
        self.table.add(planned, hit, fenced, back_s, gap_ms)

    def _judge(self, fault, asked, epochs):
        self.watch.check()
        self.scene.check()
        assert fault.fences or not asked, asked
        assert fault.moves or self.scene.epochs() == epochs, \
            f"an owner changed: {epochs}, then {self.scene.epochs()}"

    def leg(self):
        """Some faults with the same clients; they read back at the end."""
        self.leg_first = self.number
        with Clients(self.scene, f"leg-{self.number}") as clients:
            try:
                for _ in range(LEG):
                    if self.over():
                        break
                    self._fault(clients, self.plan[self.number])
                    self.number += 1
                clients.stop()
            finally:
                self.table.take(clients)
        clients.assert_whole()

    def run(self):
        """All of it; the report is written whatever happens."""
        try:
            while not self.over():
                self.leg()
        except BaseException as why:
            self.table.failure = f"{self.where()}: {why}"
            raise
        finally:
            self.table.head["looks_at_mounts"] = self.watch.rounds
            self.table.head["longest_look_ms"] = round(
                self.watch.longest_round_s * 1000)
            self.table.save()
            print(self.table.text())

    def where(self):
        """How to have it again: the fault, or what the clients' blocks went
        through."""
        return (f"SOFS_SEED={self.plan.seed} SOFS_FAULT_FIRST={self.number}: "
                f"fault {self.plan[self.number]}; its clients began at fault "
                f"{self.leg_first}")


def test_a_seed_says_everything():
    """The same seed, the same faults, each one also by itself; all of them,
    for every role, before one comes again."""
    plan = Plan("x")
    all_at_once = [str(plan[n]) for n in range(2 * len(plan.cards))]
    assert [str(Plan("x")[n]) for n in (5, 100, 3)] == [
        all_at_once[n] for n in (5, 100, 3)]
    assert [str(Plan("y")[n]) for n in range(20)] != all_at_once[:20]
    assert {(p.fault, bool(p.owns), p.leads) for p in map(
        plan.__getitem__, range(len(plan.cards)))} == set(plan.cards)


@pytest.mark.skipif(not SOAK, reason="hours; make soak runs it")
def test_random_faults(new_bed):
    """See above; afterwards a checker finds both file systems clean."""
    seed = os.environ.get("SOFS_SEED") or secrets.token_hex(4)
    print(f"SOFS_SEED={seed}")
    scene = Scene.up(new_bed)
    with Mounts(scene.bed, *scene.bed.luns, interval_s=0.05) as watch:
        soak = Soak(scene, watch, seed)
        try:
            soak.run()
        except BaseException as why:
            kept = scene.bed.keep_logs(f"soak-{seed}-{soak.number}")
            raise AssertionError(
                f"{soak.where()}: {why}; logs: {kept}") from why
    scene.bed.keep_logs(f"soak-{seed}")     # long gaps want a reason, too
    dirty = scene.fsck()
    soak.table.passed = not dirty
    soak.table.save()
    assert not dirty, dirty
