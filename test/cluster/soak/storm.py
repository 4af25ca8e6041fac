# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with nothing to spare: processes that never sleep in every node,
clients that open and close without a pause; and a witness who says whether
anything happened to the cluster meanwhile."""

import contextlib
import os
import re
import time

from bed.errors import BedError
from drive import Running

from .clients import PATIENT

HOGS_PER_NODE = 2
SPINNER = "while :; do :; done"
STORMS_PER_NODE = 6             # each waits for its answer before it goes on


@contextlib.contextmanager
def hogs(bed, per_node=HOGS_PER_NODE):
    """Processes that take all the time they get, at normal priority."""
    running = [node.popen("sh", "-c", SPINNER) for node in bed.nodes
               for _ in range(per_node)]
    try:
        yield running
    finally:
        for child in running:
            child.kill()
            child.wait()


class Storm(Running):
    """A client that opens and closes files on one node."""

    def __init__(self, client, share, node, name):
        super().__init__(client, "storm", share, name, [node],
                         options=PATIENT, ready_s=120)


@contextlib.contextmanager
def storms(scene):
    """Some for each node, spread over clients and volumes."""
    bed, running = scene.bed, []
    with contextlib.ExitStack() as stack:
        for number in range(STORMS_PER_NODE * len(bed.nodes)):
            node = bed.nodes[number % len(bed.nodes)]
            share = scene.plain[number // len(bed.nodes) % len(scene.plain)]
            running.append(stack.enter_context(Storm(
                bed.clients[number % len(bed.clients)], share, node,
                f"storm-{number}")))
        yield running


def generation(node):
    """CTDB's number of the last recovery, as a node says."""
    said = node.run("timeout", "60", "ctdb", "status", timeout=90).stdout
    found = re.search(r"^Generation:(\d+)", said, re.MULTILINE)
    return int(found.group(1)) if found else None


class Witness:
    """What must stay as it is: generations (every change of CTDB's members
    makes another), epochs, processes, fencing, flags."""

    TROUBLE = re.compile(r"banned|Banning|dead count|has become unhealthy|"
                         r"DISCONNECTED|Freeze|election|panic", re.IGNORECASE)

    def __init__(self, scene):
        self.scene, self.bed = scene, scene.bed
        self.log_at = {n: len(n.log("log.ctdb")) for n in self.bed.nodes}
        self.csvd_at = {n: len(n.log("csvd.log")) for n in self.bed.nodes}
        self.before = self._look()
        self.fences = len(self.bed.fence_log())
        self.looks = 0

    def _look(self):
        return {"generations": [generation(n) for n in self.bed.nodes],
                "epochs": self.scene.epochs(),
                "daemons": [sorted(n.pids("ctdbd") + n.pids("csvd")
                                   + n.pids("csvd-guard"))
                            for n in self.bed.nodes]}

    def look(self):
        """AssertionError with what the logs say if anything changed."""
        try:
            now = self._look()
        except BedError as err:
            raise AssertionError(f"{err}; logs: {self.said()}") from err
        self.looks += 1
        assert now == self.before, (f"before {self.before}, now {now}; "
                                    f"logs: {self.said()}")
        assert len(self.bed.fence_log()) == self.fences, \
            self.bed.fence_log()[self.fences:]
        assert all(flag == "OK" for flag in
                   self.bed.flags(self.bed.nodes[0]).values())

    def said(self):
        """Lines of trouble in CTDB's logs and everything in csvd's, since the
        beginning."""
        lines = []
        for node in self.bed.nodes:
            lines += [f"{node.name} {line}" for line in node.log(
                "log.ctdb")[self.log_at[node]:].splitlines()
                if self.TROUBLE.search(line)]
            lines += [f"{node.name} csvd {line}" for line in node.log(
                "csvd.log")[self.csvd_at[node]:].splitlines()]
        return lines

    def watch(self, seconds, every_s=10):
        """Look again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(every_s, max(0, end - time.monotonic())))
            self.look()


def load():
    """The machine's load averages: processes that want to run."""
    return os.getloadavg()
