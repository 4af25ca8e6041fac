#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of make bench about the price of a persistent handle: open and
close of one client, and opens per second of eight clients, on three nodes,
with Samba as it was published and with ours, in one run.

Each side is a cluster of its own, beside the other, and a process of its own,
which does as lines of JSON say: Samba as it was published is there only for
what samba/stock starts.

  opens.py SIDE DURABILITY    (stock or ours; full_outage or partial_outage)
"""

import collections
import contextlib
import json
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "test/cluster"))

# pylint: disable=wrong-import-position
from bed import Bed, BedError, samba  # noqa: E402
from bed.samba import USERS         # noqa: E402
from drive import Volume            # noqa: E402

CLIENTS = 8
COUNT = 50
WARM_UP = 5     # smb3client's
SECONDS = 5
# Samba's own, where all nodes have the files.
PLAIN = "acl_xattr streams_xattr"
STACK = "acl_xattr streams_xattr ca csv"
MOST_MS = {"full_outage": 6.0, "partial_outage": 2.0}
LEAST_RATIO = {"full_outage": 4.0, "partial_outage": None}


class Cluster:
    """One side: the share "shared" with Samba's own VFS on a directory that
    all nodes have, and with ours "csv" on a volume that node1 owns; "none" and
    "csvnone" are the same without continuous availability."""

    def __init__(self, side, durability):
        self.bed = Bed.up(nodes=3, clients=1, volumes=side == "ours",
                          csvd=side == "ours", globals_={
                              "persistent handles durability": durability})
        self.volume = None
        try:
            self.shares(side)
        except BaseException:
            self.bed.down()
            raise

    def shares(self, side):
        """Make them."""
        path = self.bed.shared_dir("opens")
        for name, available in (("shared", "yes"), ("none", "no")):
            self.bed.share(name, path, **{
                "vfs objects": PLAIN, "continuous availability": available})
        if side == "ours":
            self.volume = Volume(self.bed).placed()
            self.volume.make_share("csv", **{"vfs objects": STACK})
            self.volume.make_share("csvnone", **{
                "vfs objects": STACK, "continuous availability": "no"})

    def start(self, share, node, name, *args):
        """One client that opens and closes a file of its own."""
        report = self.bed.client.dir / f"{name}.json"
        child = self.bed.client.popen(
            "env", f"SMB3CLIENT_PASSWORD={USERS['alice'][1]}",
            self.bed.dir / "bin/smb3client", "price",
            f"//{self.bed.node(node).address}/{share}/{name}",
            "--user", "alice", "--report", report, *map(str, args),
            stdout=subprocess.DEVNULL)
        return child, report

    def opens(self, share, nodes, *args):
        """The reports of clients, one through each of these nodes."""
        started = [self.start(share, node, f"file{number}", *args)
                   for number, node in enumerate(nodes)]
        reports = []
        for child, report in started:
            if child.wait(120) != 0:
                raise BedError(f"smb3client: {report.read_text('utf-8')}")
            reports.append(json.loads(report.read_text("utf-8")))
        return reports

    def alone(self, share, node):
        """Medians of one client."""
        report, = self.opens(share, [node], "--count", COUNT)
        wanted = 0 if share.endswith("none") else COUNT
        if report["persistent_opens"] != wanted:
            raise BedError(f"{share}: {report['persistent_opens']} of "
                           f"{COUNT} handles are persistent")
        return {key: round(report[f"{key}_ms_median"], 3)
                for key in ("open", "close", "open_close")}

    def counted(self, share, node):
        """What the ctdbds of all nodes do for one open and close."""
        before = self.statistics()
        with self.traced() as calls:
            opens = self.opens(share, [node], "--count", COUNT)[0]["opens"] \
                + WARM_UP
        more = {key: value - before[key]
                for key, value in self.statistics().items()}
        return {key: round(value / opens, 2)
                for key, value in {**more, **calls}.items()}

    def statistics(self):
        """Of CTDB, sums over the nodes, and what the volume's owner was asked
        for."""
        found = collections.Counter()
        if self.volume is not None:
            state = self.volume.state(self.bed.node(1))
            found["requests_to_owner"] = state["counters"]["requests"]
        for node in self.bed.nodes:
            text = node.ctdb("statistics")
            for key in ("childwrite_calls", "client_packets_recv",
                        "node_packets_recv"):
                found[key] += int(re.search(rf"^ *{key} +(\d+)", text,
                                            re.MULTILINE)[1])
        return found

    @contextlib.contextmanager
    def traced(self):
        """{system call: how often} of all ctdbds and what they fork."""
        calls = {"fsync": 0, "fdatasync": 0, "msync": 0, "fork": 0}
        out = self.bed.dir / "strace"
        argv = ["strace", "-f", "-qq", "-e", "signal=none", "-e",
                "trace=fsync,fdatasync,msync,clone,clone3,fork,vfork",
                "-o", out]
        pids = [pid for node in self.bed.nodes for pid in node.pids("ctdbd")]
        for pid in pids:
            argv += ["-p", str(pid)]
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as child:
            for pid in pids:
                while not re.search(
                        r"TracerPid:\s*[1-9]", pathlib.Path(
                            f"/proc/{pid}/status").read_text("utf-8")):
                    time.sleep(0.02)
            yield calls
            child.send_signal(signal.SIGINT)
        for line in out.read_text("utf-8", "replace").splitlines():
            # one whose end stands in another line counts there
            match = re.match(r"\d+ +(?:<\.\.\. )?(\w+)[( ].*= \d+", line)
            if match:
                name = match[1]
                calls["fork" if "clone" in name or "fork" in name
                      else name] += 1

    def together(self, share):
        """Opens per second of all clients, on all nodes."""
        reports = self.opens(share, [n % 3 + 1 for n in range(CLIENTS)],
                             "--seconds", SECONDS)
        return {"opens_per_second": round(sum(
            r["opens_per_second"] for r in reports), 1)}


def serve(side, durability):
    """Do what lines say: a method of Cluster and its arguments."""
    if samba.is_published(samba.find_prefix()) != (side == "stock"):
        raise SystemExit(f"{side}: the wrong Samba")
    cluster = Cluster(side, durability)
    try:
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            name, *args = json.loads(line)
            print(json.dumps(getattr(cluster, name)(*args)), flush=True)
    except BaseException:
        cluster.bed.keep_logs("bench-opens")
        raise
    finally:
        cluster.bed.down()


class Side:
    """The other end of serve()."""

    def __init__(self, side, durability):
        before = [REPO / "samba/stock"] if side == "stock" else []
        # pylint: disable=consider-using-with
        self.child = subprocess.Popen(
            [*before, "/usr/bin/python3", "-B", __file__, side, durability],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self):
        """What it says next."""
        line = self.child.stdout.readline()
        if not line:
            raise BedError("a side of the bench ended")
        return json.loads(line)

    def ask(self, *request):
        """And its answer."""
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        return self.answer()

    def end(self):
        """Its bed goes."""
        self.child.stdin.close()
        self.child.wait(120)


# (side, share, node of the client or None for all clients, what it is)
def cells(durability):
    """What is measured with this durability."""
    found = []
    for side in ("stock", "ours"):
        found.append((side, "shared", 2))
    found += [("ours", "csv", 1), ("ours", "csv", 2)]
    if durability == "full_outage":
        found += [("stock", "none", 2), ("ours", "none", 2),
                  ("ours", "csvnone", 1), ("ours", "csvnone", 2)]
    return found + [("stock", "shared", None), ("ours", "shared", None),
                    ("ours", "csv", None)]


def count_row(durability, side, share, node, counts):
    """What one open and close makes the ctdbds of the three nodes do."""
    row = {"comparison": "persistent handles, counted", "samba": side,
           "durability": durability, "share": share,
           "through": "owner" if node == 1 else "other node",
           **{f"{key}_per_open": value for key, value in counts.items()},
           "met": None}
    print(f"{row['comparison']} {side:5} {durability:14} {share:7} "
          f"{row['through']:10} " + " ".join(
              f"{key} {value}" for key, value in counts.items()), flush=True)
    return row


def measure(durability, rounds, counted):
    """{cell: [answers]} of both sides, who is first changes. The rows of what
    was counted go to a list."""
    sides = {name: Side(name, durability) for name in ("stock", "ours")}
    try:
        for side in sides.values():
            side.answer()
        found = {cell: [] for cell in cells(durability)}
        for number in range(rounds):
            order = list(found)
            for cell in order[number % len(order):] + \
                    order[:number % len(order)]:
                name, share, node = cell
                found[cell].append(
                    sides[name].ask("together", share) if node is None
                    else sides[name].ask("alone", share, node))
        for name, share, node in (("stock", "shared", 2),
                                  ("ours", "shared", 2), ("ours", "csv", 2)):
            counted.append(count_row(durability, name, share, node, sides[
                name].ask("counted", share, node)))
        return found
    finally:
        for side in sides.values():
            side.end()


def row_of(durability, cell, answers):
    """One line of the table."""
    side, share, node = cell
    row = {"comparison": "persistent handles", "samba": side,
           "durability": "none" if share.endswith("none") else durability,
           "share": "ca csv" if share.startswith("csv") else "default VFS",
           "clients": CLIENTS if node is None else 1,
           "through": "all nodes" if node is None else "owner"
           if node == 1 else "other node", "rounds": len(answers)}
    for key in answers[0]:
        name = key if key.endswith("per_second") else f"{key}_ms"
        row[name] = round(statistics.median(a[key] for a in answers), 3)
    return row


def judge(rows):
    """What the issue asks for, of ours; ratios of the same run."""
    stock = {(r["durability"], r["clients"]): r for r in rows
             if r["samba"] == "stock"}
    for row in rows:
        base = stock[row["durability"], row["clients"]]
        most = MOST_MS.get(row["durability"])
        least = LEAST_RATIO.get(row["durability"])
        row["met"] = None
        if row["clients"] == 1:
            row["ratio_to_stock"] = round(
                row["open_close_ms"] / base["open_close_ms"], 3)
            if row["samba"] == "ours" and most:
                row["required_at_most_ms"] = most
                row["met"] = row["open_close_ms"] <= most
        else:
            row["ratio_to_stock"] = round(
                row["opens_per_second"] / base["opens_per_second"], 3)
            if row["samba"] == "ours" and least:
                row["required_at_least_ratio"] = least
                row["met"] = row["ratio_to_stock"] >= least


def show(row):
    """For people."""
    what = f"{row['opens_per_second']:9.1f} opens/s" if \
        row["clients"] > 1 else (
            f"open {row['open_ms']:7.2f} close {row['close_ms']:7.2f} "
            f"both {row['open_close_ms']:7.2f} ms")
    need = f"  need at most {row['required_at_most_ms']} ms" \
        if "required_at_most_ms" in row else \
        f"  need {row['required_at_least_ratio']} x stock" \
        if "required_at_least_ratio" in row else ""
    missed = "  MISSED" if row["met"] is False else ""
    print(f"{row['comparison']} {row['samba']:5} {row['durability']:14} "
          f"{row['share']:11} {row['clients']} client(s) "
          f"{row['through']:10} {what:44} = "
          f"{row['ratio_to_stock']:.2f} x stock{need}{missed}", flush=True)


def rows(rounds=3):
    """All of them."""
    found, counted = [], []
    for durability in ("full_outage", "partial_outage"):
        measured = measure(durability, rounds, counted)
        found += [row_of(durability, cell, answers)
                  for cell, answers in measured.items()]
    judge(found)
    for row in found:
        show(row)
    return found + counted


if __name__ == "__main__":
    serve(*sys.argv[1:])
