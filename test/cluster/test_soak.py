# SPDX-License-Identifier: GPL-3.0-or-later
"""Random faults for hours: two volumes, six clients that write all the time,
on each of some beds that run at the same time. Nothing is lost or doubled, no
client is told an error, no volume ever has two mounts that are not shut down,
and everything is well again after each fault.

SOFS_FAULTS           how many (1000)
SOFS_FAULT_SECONDS    and for how long at least (3600)
SOFS_BEDS             on how many beds at the same time (2)
SOFS_SEED             what is drawn; printed, and in the report
SOFS_FAULT_FIRST      the number of the first: a single fault again
SOFS_FAULT_ONLY       words in the names of the faults that may come
"""

import os
import secrets

import pytest

from soak import Order, Plan, Run, Table


def asked_for():
    """What the environment says."""
    def value(name, otherwise):
        return os.environ.get(f"SOFS_{name}") or otherwise
    return Order(seed=value("SEED", secrets.token_hex(4)),
                 count=int(value("FAULTS", 1000)),
                 seconds=float(value("FAULT_SECONDS", 3600)),
                 first=int(value("FAULT_FIRST", 0)),
                 beds=int(value("BEDS", 2)), only=value("FAULT_ONLY", ""))


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
    assert all(p.fault.seconds[0] <= p.seconds <= p.fault.seconds[1]
               for p in map(plan.__getitem__, range(1000)))


def test_a_slow_fault_is_told():
    """The median of enough faults of one name, and only that."""
    table = Table("x")

    def add(gap_ms, fault="killed", role="owner, leads"):
        table.entries.append({"fault": fault, "role": role,
                              "gap_ms": gap_ms})
    for gap_ms in (100, 5001, 5001, 90000):
        add(gap_ms)
    assert not table.slow()
    add(99999, "planned move")
    add(200)
    for _ in range(9):
        add(10, role="owns nothing, leads")
    assert table.slow() == {"killed": 5001}
    add(300)
    assert not table.slow()


@pytest.mark.soak("hours")
def test_random_faults(new_bed):
    """See above; afterwards a checker finds all file systems clean."""
    order = asked_for()
    print(f"SOFS_SEED={order.seed}")
    Run(order, new_bed).go()
