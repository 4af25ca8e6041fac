# SPDX-License-Identifier: GPL-3.0-or-later
"""CTDB's tunables as shipped and csvd's limits, on a machine whose processors
are never idle, under a storm of opens and closes: not one false fail-over.

SOFS_STORM_SECONDS    how long (1800 in make soak)
"""

import json
import os
import time

import pytest

from bed.samba import BUILD
from soak import Clients, Scene
from soak.storm import Witness, hogs, load, storms

SECONDS = float(os.environ.get("SOFS_STORM_SECONDS", "1800"))
REPORT = BUILD / "report/storm.json"


def save(passed, **numbers):
    """The report; also what is printed."""
    numbers = {"format_version": 1, "passed": passed,
               "time_epoch_seconds": round(time.time()),
               "duration_seconds": SECONDS, **numbers}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
    print(json.dumps(numbers, indent=1))


def per_node(bed, running):
    """Opens in a second through each node."""
    sums = dict.fromkeys((n.name for n in bed.nodes), 0)
    for number, storm in enumerate(running):
        name = bed.nodes[number % len(bed.nodes)].name
        sums[name] += storm.report["opens_per_second"]
    return {name: round(value, 1) for name, value in sums.items()}


@pytest.mark.soak("half an hour")
def test_storm_makes_no_failover(new_bed):
    """No recovery of CTDB, no other epoch, no daemon that ended, nobody
    fenced, no smbd that ended under a client; streams beside it go on."""
    scene = Scene.up(new_bed)
    scene.make_plain_shares()
    with Clients(scene, "beside", patient=True) as streams:
        with storms(scene) as running, hogs(scene.bed):
            streams.wait_going_on()
            witness = Witness(scene)
            try:
                witness.watch(SECONDS)
            except BaseException:
                print("logs:", scene.bed.keep_logs("storm"))
                raise
            finally:
                loads = load()
        streams.stop()
    scene.check()
    passed = not any(s.report["reconnects"] or s.report["errors"]
                     for s in [*running, *streams.streams])
    save(passed, opens_per_second=per_node(scene.bed, running),
         longest_open_ms=[round(r.report["longest_open_ms"])
                          for r in running],
         stream_longest_gap_ms=[round(s.report["longest_gap_ms"])
                                for s in streams.streams],
         load_average=[round(x, 1) for x in loads], looks=witness.looks,
         reconnects=[s.report["reconnects"] for s in
                     [*running, *streams.streams]])
    for storm in running:
        storm.assert_no_error()
    streams.assert_whole()
    assert passed
