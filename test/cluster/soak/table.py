# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clients saw, fault by fault: build/report/faults.json and a table
of gaps. All beds of a run write into one."""

import json
import statistics
import threading
import time

from bed.samba import BUILD

REPORT = BUILD / "report/faults.json"
# What is promised of the longest gap of six clients, in the median of at least
# ENOUGH faults of that name whose victim owns a volume: most clients hardly
# notice the others.
PROMISED_MS = {"node silent": 8000, "all processes SIGSTOPped": 8000,
               "csvd SIGSTOPped": 8000, "ctdbd SIGSTOPped": 8000,
               "killed": 5000, "power cut": 5000}
ENOUGH = 5
HEAD = ("fault", "victim", "count", "median gap", "longest gap", "fenced",
        "longest way back")
TOTALS = ("blocks_written", "blocks_verified", "blocks_lost",
          "blocks_doubled", "blocks_corrupt", "other_blocks_lost",
          "other_blocks_doubled", "other_blocks_corrupt", "errors",
          "reconnects")


def processor_time():
    """(idle, all) of the machine so far, in clock ticks."""
    with open("/proc/stat", encoding="utf-8") as handle:
        ticks = list(map(int, handle.readline().split()[1:9]))
    return ticks[3] + ticks[4], sum(ticks)


class Table:
    """One entry for each fault; sums of the clients' reports."""

    def __init__(self, seed, **more):
        self.head = {"format_version": 1, "seed": seed, **more}
        self.began, self.passed = time.time(), False
        self.entries = []
        self.sums = dict.fromkeys(TOTALS, 0)
        self.failure = None
        self._ticks = processor_time()
        self._lock = threading.Lock()

    def add(self, planned, hit, **measured):
        """A fault is over."""
        with self._lock:
            self.entries.append({
                "number": planned.number, "fault": planned.fault.name,
                "role": planned.role, "victim": hit.victim.name,
                "volume": hit.volume.name,
                "fault_seconds": round(planned.seconds, 1), **measured})

    def _longest(self, key, value):
        with self._lock:
            self.head[key] = max(self.head.get(key, 0), round(value))

    def between(self, gap_ms):
        """What the clients saw between two faults: planned moves."""
        self._longest("longest_gap_between_faults_ms", gap_ms)

    def looked(self, watch):
        """The watcher of a bed's mounts ends."""
        self._longest("longest_look_ms", watch.longest_round_s * 1000)
        with self._lock:
            self.head["looks_at_mounts"] = (
                self.head.get("looks_at_mounts", 0) + watch.rounds)

    def take(self, clients):
        """What these clients say, which have ended."""
        with self._lock:
            for report in clients.reports():
                for key in TOTALS:
                    self.sums[key] += report.get(key, 0)

    def end(self, failure):
        """All beds have ended: with what failure, None if without."""
        idle, whole = (now - was for now, was in zip(processor_time(),
                                                     self._ticks))
        self.head["processors_idle_percent"] = round(100 * idle / whole)
        self.failure, self.passed = failure, failure is None
        self.entries.sort(key=lambda entry: entry["number"])
        self.save()

    def rows(self):
        """Fault × role: how often, and the gaps."""
        groups = {}
        for entry in self.entries:
            groups.setdefault((entry["fault"], entry["role"]),
                              []).append(entry)
        return [self._row(*key, group)
                for key, group in sorted(groups.items())]

    @staticmethod
    def _row(fault, role, group):
        gaps = [e["gap_ms"] for e in group]
        return {"fault": fault, "role": role, "count": len(group),
                "median_gap_ms": round(statistics.median(gaps)),
                "longest_gap_ms": max(gaps),
                "fenced": sum(e["fenced"] for e in group),
                "longest_back_seconds": max(e["back_seconds"]
                                            for e in group)}

    def slow(self):
        """Faults whose gaps are longer than promised: {name: median, ms}."""
        gaps = {name: [e["gap_ms"] for e in self.entries
                       if e["fault"] == name
                       and not e["role"].startswith("owns nothing")]
                for name in PROMISED_MS}
        medians = {name: statistics.median(one) for name, one in gaps.items()
                   if len(one) >= ENOUGH}
        return {name: round(median) for name, median in medians.items()
                if median > PROMISED_MS[name]}

    def text(self):
        """The table, as doc/faults.md has it."""
        lines = [HEAD, ("---",) * len(HEAD)]
        lines += [[str(value) for value in row.values()]
                  for row in self.rows()]
        sums = {**self.sums, **{key: self.head.get(key) for key in (
            "longest_gap_between_faults_ms", "processors_idle_percent")}}
        sums = "  ".join(f"{key.replace('_', ' ')} {value}"
                         for key, value in sums.items())
        return "\n".join("| " + " | ".join(line) + " |"
                         for line in lines) + f"\n{sums}\n"

    def save(self):
        """Write the report."""
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(json.dumps({
            **self.head, "passed": self.passed, "failure": self.failure,
            "time_epoch_seconds": round(self.began),
            "duration_seconds": round(time.time() - self.began),
            "faults_done": len(self.entries), **self.sums,
            "rows": self.rows(), "faults": self.entries}, indent=1) + "\n",
            "utf-8")
