# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed's power switch: faults of whole nodes, and the fence server.

The server runs outside every node, in the bed's keeper; the agent fence_bed
reaches it from any node through /bed/fence.sock.
"""

import json
import os
import signal
import socketserver
import threading
import time

from . import lun, proc
from .errors import BedError


LATE_S = 5


def lun_mounts(node):
    """Mounts of LUNs in a living node: [(mount point, Loop)]."""
    numbers = {loop.number: loop for loop in node.loops()}
    devices = {f"{os.major(n)}:{os.minor(n)}": l for n, l in numbers.items()}
    names = {f"/dev/csv/{name}": disk.loops().get(node.number)
             for name, disk in node.bed.luns.items()}
    found = []
    for entry in proc.mounts(node.pid):
        loop = devices.get(entry["dev"]) or names.get(entry["source"])
        if loop and entry["fstype"] not in ("tmpfs", "devtmpfs"):
            found.append((entry["point"], loop))
    return found


def cut_storage(node):
    """Lose what the node has not flushed yet, as a power cut does."""
    for point, loop in lun_mounts(node):
        if not lun.shut_down(node.root + point):
            lun.set_limit(loop, 512)


def kill(node, timeout=15):
    """Kill all processes of a node at once; wait until none is left."""
    if node.alive:
        proc.send(node.pid, signal.SIGKILL)
    # The first process becomes a zombie only after all others have ended.
    proc.wait_until(f"no process of {node.name} left",
                    lambda: not node.alive, timeout, 0.01)
    for loop in node.loops():
        lun.detach(loop)


def power_off(node):
    """Power cut, and the proof that nothing of the node can still write."""
    if node.alive:
        cut_storage(node)
    kill(node)
    lun.detach_all(node.loops)


class _Handler(socketserver.StreamRequestHandler):
    """One request of the agent: a JSON line in, a JSON line out."""

    def handle(self):
        try:
            request = json.loads(self.rfile.readline(65536))
            action, port = request["action"], request["port"]
        except (ValueError, KeyError, TypeError):
            return
        began = time.time()
        answer = self.server.answer(self, action, port)
        answer["seconds"] = round(time.time() - began, 3)
        self.server.record({"time": began, "from": request.get("from"),
                            "action": action, "port": port, **answer})
        try:
            self.wfile.write(json.dumps(answer).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            pass

    def peer_gone(self):
        """True when the agent has given up."""
        self.connection.settimeout(0.2)
        try:
            return self.connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


class FenceServer(socketserver.ThreadingUnixStreamServer):
    """Answers fence_bed for one bed."""

    daemon_threads = True

    def __init__(self, bed):
        self.bed = bed
        self._log_lock = threading.Lock()
        super().__init__(str(bed.dir / "fence.sock"), _Handler)

    def record(self, entry):
        """Keep every request for the tests (bed.fence_log())."""
        with self._log_lock, open(self.bed.dir / "fence.log", "a",
                                  encoding="utf-8") as handle:
            handle.write(json.dumps(entry) + "\n")

    def answer(self, handler, action, port):
        """Do what the agent asks for, in the mode that the test has set."""
        try:
            self.bed.reload()
            if str(port).isdigit():
                raise BedError(f"{port}: a name or an address is needed "
                               "(CTDB's numbers begin at 0, names at 1)")
            node = self.bed.node(port)
            mode = self.bed.fence_mode_of(node)
            if action in ("off", "reboot") and mode == "fail":
                return {"ok": False, "error": "told to fail"}
            while action in ("off", "reboot") and mode == "hang":
                if handler.peer_gone():
                    return {"ok": False, "error": "agent gave up"}
                mode = self.bed.fence_mode_of(node)
            if action in ("off", "reboot") and mode == "late":
                time.sleep(LATE_S)
                return {"ok": True, "status": "off"}
            return self._act(action, node)
        except (BedError, OSError) as err:
            return {"ok": False, "error": str(err)}

    def _act(self, action, node):
        if action in ("off", "reboot"):
            with node.lock():
                power_off(node)
        if action in ("on", "reboot") and not node.alive:
            node.start()
        if action not in ("on", "off", "reboot", "status"):
            return {"ok": False, "error": f"unknown action {action}"}
        return {"ok": True, "status": "on" if node.alive else "off"}
