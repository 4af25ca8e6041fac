# SPDX-License-Identifier: GPL-3.0-or-later
"""The promised time of a planned move, also where it cannot be kept.

Most of a move is the storage's agents, one that stops and one that starts:
about a hundred processes, 0.1 s together on a usual machine, 0.5 to 0.9 s on
one whose page faults cost ten times as much. What they take beyond their part
of the promise is left out of it there; nothing else is.
"""

import re
import statistics

MOVE_MS = 1000
AGENTS_MS = 300

_STOPPED = re.compile(r"released \(.* storage (\d+) ms, record")
_STARTED = re.compile(r"taken, epoch .* storage (\d+) ms, serving")


def _median(pattern, logs):
    times = [int(text) for log in logs for text in pattern.findall(log)]
    assert times, "no node says what its agents took"
    return statistics.median(times)


def agents_ms(bed):
    """What csvds say of the moves since the test began (all of the bed if
    nothing says when that was): median of stopping and that of starting."""
    logs = [node.log("csvd.log").rpartition("==== ")[2] for node in bed.nodes]
    return _median(_STOPPED, logs) + _median(_STARTED, logs)


def late_ms(bed):
    """What a planned move may be late for its agents' sake."""
    took = agents_ms(bed)
    late = max(0, took - AGENTS_MS)
    print(f"agents took {took:.0f} ms, {late:.0f} ms more than their part")
    return late


def move_limit_ms(bed):
    """The longest gap that a planned move may make."""
    return MOVE_MS + late_ms(bed)
