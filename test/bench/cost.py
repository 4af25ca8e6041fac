# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost rows of make bench: the CPU time that redirection adds, beside the
floor, and the system calls and copies of a redirected read, counted.

Connecting costs as well, and is not what is asked for: everything is counted
in a short and in a long run, and the difference belongs to the requests that
the long one did more.
"""

import collections
import json
import os
import re
import signal
import statistics
import subprocess
import time

from bed import BedError

SECONDS = (1, 3)
TICKS = os.sysconf("SC_CLK_TCK")
# cells of test/bench/cells.c
CELLS = ((4096, 1), (4096, 8), (65536, 8), (1048576, 8))
MOST_CPU_OF_FLOOR = 1.5
# Copies that no system call does, per byte of a read, from the code: small
# answers are received into the connection's buffer first (conn_rx.c).
USER_COPIES = {4096: 1, 1048576: 0}
CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)[ (].* = (-?\d+)")


def processes(node, names):
    """(pid, name, fields of stat from utime on) in a node's namespaces."""
    want = os.stat(f"/proc/{node.pid}/ns/net").st_ino
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino != want:
                continue
            with open(f"/proc/{pid}/stat", encoding="utf-8",
                      errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        if name.startswith(names):
            yield int(pid), name, text[text.rindex(")") + 2:].split()[11:15]


def connected(bed):
    """Is there an smbd that still serves a client?"""
    return any(name.startswith("smbd[") for node in bed.nodes
               for _, name, _ in processes(node, "smbd"))


def settle(bed):
    """Wait until the smbd of the last client has been reaped."""
    end = time.monotonic() + 15
    while connected(bed) and time.monotonic() < end:
        time.sleep(0.02)


def cpu_seconds(bed):
    """Of csvd and of smbd with its ended children, on all nodes."""
    total = 0
    for node in bed.nodes:
        for _, name, times in processes(node, ("smbd", "csvd")):
            # csvd's children are agents, at work whoever asks
            used = times if name.startswith("smbd") else times[:2]
            total += sum(map(int, used))
    return total / TICKS


def machine_seconds():
    """Of all processes and interrupts; nothing else runs beside a bench."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = map(
            int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def bound(rate, busy, added):
    """The ratio redirected/direct when all processors are busy all the time
    and a redirected request costs `added` seconds more than a direct one.
    rate: of direct requests, per second; busy: what one costs in all."""
    return os.cpu_count() / (busy + added) / rate


def once(bed, run, count, seconds, tries=3):
    """(requests, what each number of count() grew by) of one run."""
    settle(bed)
    before = count()
    try:
        requests = run(seconds) * seconds
    except BedError as why:
        if tries == 1:
            raise
        print(f"again: {str(why)[-120:].strip()}", flush=True)
        return once(bed, run, count, seconds, tries - 1)
    settle(bed)
    return requests, [now - was for now, was in zip(count(), before)]


def per_request(bed, run, *counts):
    """What each count() grows by for each request of run(seconds)."""
    (few, low), (many, high) = (
        once(bed, run, lambda: [count() for count in counts], seconds)
        for seconds in SECONDS)
    return [(after - before) / max(many - few, 1)
            for before, after in zip(low, high)]


def floor(bed, path, cell, what):
    """CPU seconds per 10,000 requests of the floor program, both sides."""
    owner, other = bed.node(1), bed.node(2)
    netns = os.open(f"/proc/{other.pid}/ns/net", os.O_RDONLY)
    try:
        with owner.popen("env", f"CELL={what}:{cell[0]}:{cell[1]}",
                         "/bed/bin/floor", path, "1", owner.cluster_address,
                         str(netns), pass_fds=(netns,),
                         stdout=subprocess.PIPE, text=True) as child:
            out, _ = child.communicate(timeout=120)
    finally:
        os.close(netns)
    return json.loads(out)["cpu_s_per_10000"]


def cpu_row(bed, path, rate, cell, what, rounds):
    """What redirection adds, against the floor."""
    sums = collections.defaultdict(list)
    for _ in range(rounds):
        for node, side in ((bed.node(2), "redirected"),
                           (bed.node(1), "direct")):
            rates = []

            def run(seconds, node=node, rates=rates):
                rates.append(rate(bed, node, "bench", what, cell, seconds))
                return rates[-1]
            servers, busy = per_request(
                bed, run, lambda: cpu_seconds(bed), machine_seconds)
            sums[side].append(10000 * servers)
        sums["floor"].append(floor(bed, path, cell, what))
        # of the last side, direct
        sums["busy"].append(busy)
        sums["rate"].append(rates[-1])
    median = {side: statistics.median(of) for side, of in sums.items()}
    added = median["redirected"] - median["direct"]
    gib = cell[0] * 10000 / (1 << 30)
    row = {"comparison": "cpu added/floor", "wire": "plain",
           "operation": what, "size_bytes": cell[0], "depth": cell[1],
           "rounds": rounds,
           "redirected_cpu_seconds_per_10000": round(median["redirected"], 4),
           "direct_cpu_seconds_per_10000": round(median["direct"], 4),
           "added_cpu_seconds_per_10000": round(added, 4),
           "floor_cpu_seconds_per_10000": round(median["floor"], 4),
           "added_cpu_seconds_per_gib": round(added / gib, 4),
           "floor_cpu_seconds_per_gib": round(median["floor"] / gib, 4),
           "bound_by_floor_ratio": round(bound(
               median["rate"], median["busy"], median["floor"] / 10000), 3),
           "ratio_median": round(added / median["floor"], 3),
           "required_at_most_ratio": MOST_CPU_OF_FLOOR}
    # below 0 is no result: the machine had other work
    row["met"] = 0 < row["ratio_median"] <= MOST_CPU_OF_FLOOR
    print(f"{row['comparison']:24} plain     {what:5} {cell[0]:8} depth "
          f"{cell[1]:2}  {added:9.3f} ÷ {median['floor']:9.3f} s/10000 = "
          f"{row['ratio_median']:.3f}  need at most {MOST_CPU_OF_FLOOR}"
          f"{'' if row['met'] else '  MISSED'}; with the floor's cost "
          "redirected/direct would be at most "
          f"{row['bound_by_floor_ratio']:.2f}", flush=True)
    return row


class Strace:
    """Every system call of a node's processes of one name: how often each
    was made, and the bytes that it moved."""

    def __init__(self, bed, node, name):
        self.out = bed.dir / f"strace-{node.name}-{name}"
        pids = [pid for pid, _, _ in processes(node, name)]
        argv = ["strace", "-qq", "-s", "0", "-e", "signal=none",
                "-o", str(self.out)]
        if name == "smbd":
            argv.append("-f")   # the client's is not there yet
        else:                   # its threads, but not the agents it starts
            pids = [int(tid) for pid in pids
                    for tid in os.listdir(f"/proc/{pid}/task")]
        for pid in pids:
            argv += ["-p", str(pid)]
        # pylint: disable=consider-using-with
        self.child = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end and not all(map(self._traced, pids)):
            time.sleep(0.02)

    def _traced(self, pid):
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            return f"TracerPid:\t{self.child.pid}\n" in file.read()

    def stop(self):
        """{call: (how often, bytes)}"""
        self.child.send_signal(signal.SIGINT)
        self.child.wait(30)
        found = collections.defaultdict(lambda: [0, 0])
        with open(self.out, encoding="utf-8", errors="replace") as file:
            for line in file:
                match = CALL.match(line)
                if match:
                    found[match[1]][0] += 1
                    found[match[1]][1] += max(int(match[2]), 0)
        self.out.unlink()
        return found


MOVES = ("read", "readv", "pread64", "preadv", "preadv2", "recvfrom",
         "recvmsg", "write", "writev", "pwrite64", "pwritev", "pwritev2",
         "sendto", "sendmsg")


def traced(bed, rate, cell, seconds):
    """(requests, calls of smbd and csvd, bytes moved) of one traced run."""
    settle(bed)
    traces = {"smbd": Strace(bed, bed.node(2), "smbd"),
              "csvd": Strace(bed, bed.node(1), "csvd")}
    requests = rate(bed, bed.node(2), "bench", "read", cell,
                    seconds) * seconds
    settle(bed)
    calls = {name: trace.stop() for name, trace in traces.items()}
    moved = sum(of[call][1] for of in calls.values() for call in MOVES
                if call in of)
    return requests, calls, moved


def calls_row(bed, rate, cell):
    """System calls and copies of one redirected read.

    A traced smbd is slow: what takes longer than 500 us gets an interim
    answer by smbd, which shows as one more sendmsg.
    """
    few, low, low_bytes = traced(bed, rate, cell, SECONDS[0])
    many, high, high_bytes = traced(bed, rate, cell, SECONDS[1])
    more = max(many - few, 1)
    row = {"comparison": "calls and copies", "wire": "plain",
           "operation": "read", "size_bytes": cell[0], "depth": cell[1],
           "user_copies_per_byte": USER_COPIES[cell[0]]}
    for name in ("smbd", "csvd"):
        each = {call: round((high[name][call][0] - low[name][call][0])
                            / more, 3) for call in high[name]}
        row[f"{name}_calls_per_request"] = round(sum(each.values()), 2)
        row[f"{name}_calls"] = {call: n for call, n in sorted(each.items())
                                if n >= 0.05}
    copies = (high_bytes - low_bytes) / more / cell[0]
    row["kernel_copies_per_byte"] = round(copies, 2)
    print(f"{row['comparison']:24} plain     read  {cell[0]:8} depth "
          f"{cell[1]:2}  smbd {row['smbd_calls_per_request']} calls, csvd "
          f"{row['csvd_calls_per_request']}, copies by the kernel "
          f"{row['kernel_copies_per_byte']}, by us "
          f"{row['user_copies_per_byte']}", flush=True)
    return row


def rows(bed, volume, rate, rounds):
    """All of them, in a list; rate as in run."""
    found = []
    for cell in CELLS:
        for what in ("read", "write"):
            found.append(cpu_row(bed, f"{volume.path}/floor", rate, cell,
                                 what, rounds))
    for cell in ((4096, 1), (4096, 8), (1048576, 1), (1048576, 8)):
        found.append(calls_row(bed, rate, cell))
    volume.owner().run("rm", "-f", f"{volume.path}/floor")
    return found
