# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clients saw, fault by fault: build/report/faults.json and a table
of gaps."""

import json
import statistics
import time

from bed.samba import BUILD

REPORT = BUILD / "report/faults.json"
HEAD = ("fault", "victim", "count", "median gap", "longest gap", "fenced",
        "longest way back")
TOTALS = ("blocks_written", "blocks_verified", "blocks_lost",
          "blocks_doubled", "blocks_corrupt", "other_blocks_lost",
          "other_blocks_doubled", "other_blocks_corrupt", "errors",
          "reconnects")


class Table:
    """One entry for each fault; sums of the clients' reports."""

    def __init__(self, seed, **more):
        self.head = {"format_version": 1, "seed": seed, **more}
        self.began, self.passed = time.time(), False
        self.entries = []
        self.sums = dict.fromkeys(TOTALS, 0)
        self.failure = None

    def add(self, planned, hit, fenced, back_s, gap_ms):
        """A fault is over."""
        self.entries.append({
            "number": planned.number, "fault": planned.fault.name,
            "role": planned.role, "victim": hit.victim.name,
            "volume": hit.volume.name,
            "fault_seconds": round(planned.seconds, 1),
            "fenced": fenced, "back_seconds": round(back_s, 1),
            "gap_ms": round(gap_ms)})

    def between(self, gap_ms):
        """What the clients saw between two faults: planned moves."""
        key = "longest_gap_between_faults_ms"
        self.head[key] = max(self.head.get(key, 0), round(gap_ms))

    def take(self, clients):
        """What these clients say, which have ended."""
        for report in clients.reports():
            for key in TOTALS:
                self.sums[key] += report.get(key, 0)

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

    def text(self):
        """The table, as doc/faults.md has it."""
        lines = [HEAD, ("---",) * len(HEAD)]
        lines += [[str(value) for value in row.values()]
                  for row in self.rows()]
        sums = {**self.sums, "longest_gap_between_faults_ms":
                self.head.get("longest_gap_between_faults_ms")}
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
