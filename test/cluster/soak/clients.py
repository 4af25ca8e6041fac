# SPDX-License-Identifier: GPL-3.0-or-later
"""The soak's clients: a paced write-through stream each, half of them on each
volume, their first node and the order in which they try the nodes different."""

import concurrent.futures

from bed import proc
from bed.errors import BedError
from drive import Stream

INTERVAL_MS = 10
# A client that lost its node tries the nodes for so long; two nodes that lose
# power must be back within it.
GIVE_UP_MS = 300_000
# On a machine without a processor to spare, silence says nothing.
PATIENT = ("--echo-timeout-ms", 60_000, "--connect-timeout-ms", 10_000)
GOES_ON_S = 60
STOP_S = 300


class Clients:
    """``with Clients(scene, "name") as c:`` … ``c.stop()``."""

    def __init__(self, scene, name, patient=False):
        self.streams = [self._stream(scene, name, number,
                                     PATIENT if patient else ())
                        for number in range(len(scene.bed.clients))]

    @staticmethod
    def _stream(scene, name, number, more):
        nodes = scene.bed.nodes
        first = number // len(scene.volumes) % len(nodes)
        order = nodes[first:] + nodes[:first]
        if number % 2:
            order[1:] = reversed(order[1:])
        return Stream(scene.bed.clients[number],
                      scene.shares[number % len(scene.volumes)],
                      f"{name}-{number + 1}", order,
                      verify_through=order[-1], interval_ms=INTERVAL_MS,
                      more=["--give-up-ms", GIVE_UP_MS,
                            "--persistent-timeout-ms", GIVE_UP_MS, *more])

    def mark(self, event):
        """Something begins; the longest gap of all clients, in ms, in what
        ends."""
        return max(stream.mark(event)["event_longest_gap_ms"]
                   for stream in self.streams)

    def written(self):
        """Blocks acknowledged so far, per client."""
        return [s.status()["blocks_written"] for s in self.streams]

    def assert_running(self):
        """None has given up or been told an error."""
        ended = [n for n, s in enumerate(self.streams, 1) if not s.running()]
        if ended:
            raise BedError(f"clients {ended} have ended: " + "; ".join(
                self.streams[n - 1].said() for n in ended))

    def wait_going_on(self, blocks=20, timeout=GOES_ON_S):
        """Every client writes."""
        self.assert_running()
        before = self.written()

        def further():
            self.assert_running()
            return all(now >= was + blocks
                       for was, now in zip(before, self.written()))
        proc.wait_until(f"every client has written {blocks} more blocks",
                        further, timeout, 0.1)

    def stop(self):
        """All end at once and read back what they wrote."""
        with concurrent.futures.ThreadPoolExecutor(
                len(self.streams)) as pool:
            list(pool.map(lambda s: s.stop(STOP_S), self.streams))

    def assert_whole(self):
        """No error; nothing lost, nothing doubled."""
        for stream in self.streams:
            stream.assert_whole()

    def reports(self):
        """Of those that have one."""
        return [s.report for s in self.streams if s.report is not None]

    def __enter__(self):
        for stream in self.streams:
            stream.start()
        return self

    def __exit__(self, *_):
        for stream in self.streams:
            if stream.report is None:
                stream.kill()
