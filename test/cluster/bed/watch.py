# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has volumes mounted and not shut down, looked at all the time."""

import os
import pathlib
import threading
import time

from . import lun, proc

# What is remembered of each volume, for a failure's text.
KEPT = 50


class Mounts(threading.Thread):
    """``with Mounts(bed, "vol1", "vol2"):`` fails if a volume ever had two
    mounts that were not shut down. It looks every interval_s seconds."""

    def __init__(self, bed, *volumes, interval_s=0.02):
        super().__init__(daemon=True)
        self.bed, self.volumes, self.interval_s = bed, volumes, interval_s
        self.rounds, self.longest_round_s = 0, 0.0
        self.at_once = dict.fromkeys(volumes, 0)
        self.seen = {volume: [] for volume in volumes}
        self.twice = {}             # the first time of each volume
        self._end = threading.Event()

    @staticmethod
    def _lives(path, number):
        """A shut-down file system answers EIO, and one that was unmounted
        since is not there."""
        try:
            return os.stat(path).st_dev == number
        except OSError:
            return False

    def _of_node(self, node, devices):
        """Volumes with a living mount in a node, [] while it goes away."""
        try:
            root = node.root
            return [devices[entry["dev"]][0]
                    for entry in proc.mounts(node.pid)
                    if entry["dev"] in devices
                    and entry["fstype"] not in ("tmpfs", "devtmpfs")
                    and self._lives(root + entry["point"],
                                    devices[entry["dev"]][1])]
        except Exception:  # pylint: disable=broad-except
            return []

    def now(self):
        """{volume: names of the nodes with a living mount}"""
        devices = {}
        for loop in lun.loops_under(self.bed.dir):
            image, number = pathlib.Path(loop.backing), loop.number
            if image.suffix == ".img":
                devices[f"{os.major(number)}:{os.minor(number)}"] = (
                    image.stem, number)
        found = {volume: [] for volume in self.volumes}
        for node in self.bed.nodes:
            for name in self._of_node(node, devices):
                if name in found:
                    found[name].append(node.name)
        return found

    def look(self):
        """Once."""
        began = time.monotonic()
        for volume, names in self.now().items():
            seen = self.seen[volume]
            if not seen or seen[-1][1] != names:
                seen.append((time.time(), names))
                del seen[:-KEPT]
            self.at_once[volume] = max(self.at_once[volume], len(names))
            if len(names) > 1 and volume not in self.twice:
                self.twice[volume] = seen[-3:]
        self.rounds += 1
        self.longest_round_s = max(self.longest_round_s,
                                   time.monotonic() - began)

    def run(self):
        while not self._end.wait(self.interval_s):
            self.look()

    def check(self):
        """AssertionError if a volume was mounted twice so far, or nobody
        looks any more."""
        assert not self.twice, f"mounted twice: {self.twice}"
        assert self.is_alive(), "the watcher of the mounts has died"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.check()
        self._end.set()
        self.join(30)
        if kind is None:
            assert self.rounds > 10
            assert not self.twice, f"mounted twice: {self.twice}"
