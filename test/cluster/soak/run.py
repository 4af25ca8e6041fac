# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of the soak: the faults of one plan, shared out between beds that run
at the same time. Bed k of n takes every n-th fault, from the k-th; no bed
knows of another, but when one fails, all end after the fault that they are
at."""

import concurrent.futures
import dataclasses
import threading
import time

from bed.watch import Mounts

from .clients import Clients
from .faults import FAULTS
from .mend import Mender
from .plan import Plan
from .scene import Scene
from .table import Table

# Clients read back what they wrote, and new ones begin, after so many.
LEG = 25


@dataclasses.dataclass(frozen=True)
class Order:
    """What is asked for."""
    seed: str
    count: int                  # faults, of all beds together
    seconds: float = 0          # for so long at least
    first: int = 0              # number of the first
    beds: int = 1
    only: str = ""              # words in the names of the faults


class Lane:
    """One bed of a run."""

    def __init__(self, run, scene, watch, index):
        self.run, self.index = run, index
        self.scene, self.bed, self.watch = scene, scene.bed, watch
        self.mender = Mender(scene)
        self.number = self.leg_first = run.order.first + index
        self.began = time.monotonic()

    def say(self, text):
        """Which of the beds says it."""
        print(f"bed {self.index}: {text}", flush=True)

    def _over(self):
        return self.run.over(self.number, time.monotonic() - self.began)

    def _fault(self, clients, planned):
        began = time.monotonic()
        hit = self.scene.place(planned)
        clients.wait_going_on()
        placed_s = time.monotonic() - began
        fences, epochs = len(self.bed.fence_log()), self.scene.epochs()
        self.say(f"fault {planned} = {hit.victim.name}, beside it "
                 f"{hit.peer.name}, {hit.volume.name}")
        self.bed.mark(f"fault {planned}, {hit.victim.name}")
        self.run.table.between(clients.mark(str(planned.number)))
        planned.fault.begin(hit)
        time.sleep(planned.seconds)     # the fault's own length
        planned.fault.end(hit)
        back_s = self.mender.mend()
        clients.wait_going_on()
        gap_ms = clients.mark(f"after {planned.number}")
        asked = [f for f in self.bed.fence_log()[fences:]
                 if f["action"] != "status"]
        fenced = sum(f["ok"] for f in asked)
        self._judge(planned.fault, asked, epochs)
        all_s = time.monotonic() - began
        self.say(f"    {planned.number}: gap {gap_ms:.0f} ms, well again "
                 f"after {back_s:.1f} s, fenced {fenced}; placed in "
                 f"{placed_s:.1f} s, {all_s:.1f} s in all")
        self.run.table.add(planned, hit, bed=self.index, fenced=fenced,
                           gap_ms=round(gap_ms),
                           placed_seconds=round(placed_s, 1),
                           back_seconds=round(back_s, 1),
                           all_seconds=round(all_s, 1))

    def _judge(self, fault, asked, epochs):
        self.watch.check()
        self.scene.check()
        assert fault.fences or not asked, asked
        assert fault.moves or self.scene.epochs() == epochs, \
            f"an owner changed: {epochs}, then {self.scene.epochs()}"

    def _leg(self):
        """Some faults with the same clients; they read back at the end."""
        self.leg_first = self.number
        with Clients(self.scene, f"leg-{self.number}") as clients:
            try:
                for _ in range(LEG):
                    if self._over():
                        break
                    self._fault(clients, self.run.plan[self.number])
                    self.number += self.run.beds
                clients.stop()
            finally:
                self.run.table.take(clients)
        clients.assert_whole()

    def go(self):
        """All that is this bed's."""
        while not self._over():
            self._leg()

    def where(self):
        """How to have it again: the fault, or what the clients' blocks went
        through."""
        return (f"SOFS_SEED={self.run.order.seed} "
                f"SOFS_FAULT_FIRST={self.number}: "
                f"fault {self.run.plan[self.number]}; bed {self.index} of "
                f"{self.run.beds}; its clients began at fault "
                f"{self.leg_first}")


class Run:
    """``Run(order, make_bed).go()``; AssertionError says what went wrong,
    how to have it again, and where the logs of every bed are."""

    def __init__(self, order, make_bed):
        self.order, self.make_bed = order, make_bed
        self.beds = max(1, min(order.beds, order.count))
        self.plan = Plan(order.seed,
                         [f for f in FAULTS if order.only in f.name])
        self.table = Table(order.seed, faults_wanted=order.count,
                           beds=self.beds)
        self._end = threading.Event()

    def over(self, number, seconds):
        """Is there no such fault, after so many seconds?"""
        return self._end.is_set() or (
            number >= self.order.first + self.order.count
            and seconds >= self.order.seconds)

    def _bed(self, index):
        """One bed from its beginning to its end."""
        scene = Scene.up(self.make_bed)
        self.table.head.update(clients_per_bed=len(scene.bed.clients),
                               volumes_per_bed=len(scene.volumes))
        name = f"soak-{self.order.seed}"
        with Mounts(scene.bed, *scene.bed.luns, interval_s=0.05) as watch:
            lane = Lane(self, scene, watch, index)
            try:
                lane.go()
            except BaseException as why:
                self._end.set()
                kept = scene.bed.keep_logs(f"{name}-{lane.number}")
                raise AssertionError(
                    f"{lane.where()}: {why}; logs: {kept}") from why
            finally:
                self.table.looked(watch)
        scene.bed.keep_logs(f"{name}-bed{index}")   # of long gaps, too
        dirty = scene.fsck()
        assert not dirty, f"bed {index}: {dirty}"

    def _guarded(self, index):
        try:
            self._bed(index)
        except BaseException:
            self._end.set()
            raise

    def go(self):
        """All beds; the report is written whatever happens."""
        with concurrent.futures.ThreadPoolExecutor(self.beds) as pool:
            beds = [pool.submit(self._guarded, k) for k in range(self.beds)]
            try:
                concurrent.futures.wait(beds)
            finally:
                self._end.set()
        failed = [why for why in (b.exception() for b in beds) if why]
        slow = self.table.slow()
        if slow:
            failed.append(AssertionError(f"median gaps too long: {slow}"))
        self.table.end("\n".join(map(str, failed)) or None)
        print(self.table.text())
        if failed:
            raise AssertionError(self.table.failure) from failed[0]
