# SPDX-License-Identifier: GPL-3.0-or-later
"""After a fault: what power switches, init systems and administrators do,
until the cluster is as it was."""

import concurrent.futures
import time

from bed import faults
from bed.errors import BedError

LIMIT_S = 120                   # from the end of the fault until all is well
STEP_S = 5                      # between two looks at what else must be done
LOOK_S = 0.5                    # each of them starts several programs


class Mender:
    """``Mender(scene).mend()`` returns when every node is healthy and every
    volume Active on all of them, or fails after limit_s."""

    def __init__(self, scene, limit_s=LIMIT_S):
        self.scene, self.bed, self.limit_s = scene, scene.bed, limit_s

    def undo(self):
        """Nothing is cut, silent, late or told to fail any more."""
        faults.join(self.bed)
        self.bed.fence_mode("succeed")
        for disk in self.bed.luns.values():
            disk.heal()

    def _start_node(self, node):
        """Power, or what the init system starts again."""
        if not node.alive:
            faults.rejoin(node)
            return
        missing = node.missing()
        if "ctdbd" in missing:
            node.restart_ctdbd()
        if "csvd" in missing:
            node.start_csvd()

    def start_all(self):
        """One round; a node that cannot be started now has the next."""
        failed = {}

        def start(node):
            try:
                self._start_node(node)
            except BedError as err:
                failed[node.name] = str(err)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(start, self.bed.nodes))
        return failed

    def _well(self):
        self.scene.leader = self.bed.wait_healthy(
            self.bed.nodes, timeout=STEP_S, interval=LOOK_S)
        for volume in self.scene.volumes:
            volume.wait_active(nodes=self.bed.nodes, timeout=STEP_S)

    def mend(self):
        """Seconds that it took; BedError when that is too long."""
        began = time.monotonic()
        self.undo()
        while True:
            failed = self.start_all()
            try:
                self._well()
                return time.monotonic() - began
            except BedError as err:
                took = time.monotonic() - began
                if took > self.limit_s:
                    raise BedError(f"not well again after {took:.0f} s: "
                                   f"{err}; {failed or 'all run'}") from err
                print(f"bed {self.bed.id}, {took:.0f} s: {err}; "
                      f"{failed or 'all run'}", flush=True)
