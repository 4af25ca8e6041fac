# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner is cut off from the other nodes; its clients and its LUN still
reach it. What it acknowledged last it acknowledged before its successor had
the volume mounted, and it is there afterwards."""

import os
import threading
import time

import pytest

from bed import faults
from bed.watch import Mounts
from drive import Stream, Volume, accounted

SOAK = bool(os.environ.get("SOFS_SOAK"))
GIVE_UP_MS = 120_000


class Acknowledged(threading.Thread):
    """Asks a stream all the time how much was acknowledged; `last` is when
    the number was first heard that did not grow any more."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.blocks, self.last = stream, 0, 0.0
        self._end = threading.Event()

    def run(self):
        while not self._end.wait(0.002):
            blocks = self.stream.status()["blocks_written"]
            if blocks != self.blocks:
                self.blocks, self.last = blocks, time.time()

    def stop(self):
        """When the last acknowledgement was heard of, by time.time()."""
        self._end.set()
        self.join(10)
        return self.last


@pytest.fixture(name="volume")
def _volume(bed):
    """vol1 with `nouuid`: the nodes share a kernel."""
    volume = Volume(bed)
    if volume.declared():
        volume.remove()
    volume.add("--options", "wsync,nouuid", preferred=(0, 1, 2))
    with accounted(volume.ready()):
        yield volume
        bed.reset()
    volume.remove()


def _mounted_by(mounts, names):
    """When somebody was first seen to have it, by time.time()."""
    return min(when for when, who in mounts.seen["vol1"]
               if set(who) & set(names))


@pytest.mark.parametrize("leads", [False, True] if SOAK else [True])
def test_last_acknowledgement_comes_before_the_successor(bed, volume, leads):
    """One client has no other node than the owner."""
    owner, (one, two) = volume.place(leads)
    epoch = volume.epoch()
    with Mounts(bed, "vol1") as mounts, \
            Stream(bed.clients[1], "vms", "cut-2", [one],
                   verify_through=two) as beside, \
            Stream(bed.client, "vms", "cut-1", [owner], verify_through=one,
                   more=["--give-up-ms", GIVE_UP_MS,
                         "--persistent-timeout-ms", GIVE_UP_MS]) as inside:
        inside.more_blocks()
        heard = Acknowledged(inside)
        heard.start()
        began = time.time()
        faults.partition(bed, [owner], [one, two])
        volume.wait_active(nodes=[one, two], after=epoch, timeout=30)
        last = heard.stop()
        beside.more_blocks(50)
        mounted = _mounted_by(mounts, (one.name, two.name))
        faults.join(bed)
        if not owner.alive:
            faults.rejoin(owner)
        bed.wait_healthy(timeout=90)
        inside.more_blocks(20, 60)
    inside.assert_whole()
    beside.assert_whole()
    print(f"owner {'leads' if leads else 'does not lead'}: last "
          f"acknowledgement {last - began:.2f} s, successor's mount "
          f"{mounted - began:.2f} s after the cut")
    assert began < last < mounted
