# SPDX-License-Identifier: GPL-3.0-or-later
"""What a persistent handle makes CTDB do, counted, and what it takes beside an
ordinary one, as a ratio (times are in make bench)."""

import pathlib
import statistics
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

import opens  # noqa: E402  pylint: disable=wrong-import-position

pytestmark = pytest.mark.soak("minutes")
PAIRS = 15
NODES = 3
# Two databases, for the open and for the close.
STORES = 4
# What else CTDB does meanwhile.
BESIDE = 0.5
# Of partial_outage to no persistence: 1 to 7 was measured, the more the busier
# the machine; full_outage is at 30.
MOST_RATIO = 10


@pytest.fixture(name="cluster")
def _cluster(request):
    """Ours, with this durability."""
    cluster = opens.Cluster("ours", request.param)
    yield cluster
    cluster.bed.down()


@pytest.mark.parametrize("cluster", ["partial_outage"], indirect=True)
def test_partial_outage_costs_little(cluster):
    """No transaction, no fork; each store is pushed once to each other node.
    In turns with opens without persistence: not much more."""
    for share in ("shared", "csv"):
        counts = cluster.counted(share, 2)
        assert counts["childwrite_calls"] == 0
        assert counts["fork"] < 1
        assert counts["fdatasync"] <= STORES * (NODES - 1) + BESIDE
    ratios = [cluster.alone("shared", 2)["open_close"]
              / cluster.alone("none", 2)["open_close"] for _ in range(PAIRS)]
    print("partial_outage / none:", sorted(ratios))
    assert statistics.median(ratios) <= MOST_RATIO


@pytest.mark.parametrize("cluster", ["full_outage"], indirect=True)
def test_full_outage_stores_no_more_than_it_must(cluster):
    """One transaction for each store, on each node."""
    for share in ("shared", "csv"):
        assert cluster.counted(share, 2)["childwrite_calls"] \
            <= STORES * NODES + BESIDE
