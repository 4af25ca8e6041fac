#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed's keeper: one process per bed, outside all its namespaces.

``keeper.py DIRECTORY`` starts the bed's own namespaces, serves the fence
agent, and takes everything down when standard input ends (its owner has gone)
or on SIGTERM.  Its death kills the bed (PDEATHSIG); what a killed keeper
leaves, loop devices and files, the next sweep removes.
"""

import fcntl
import os
import pathlib
import signal
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

# pylint: disable=wrong-import-position
from bed import fence, net, node, ns, remains  # noqa: E402
from bed.bed import Bed  # noqa: E402


def start_bed(bed):
    """Make the namespaces that hold the bridge and all nodes."""
    argv = ["unshare", "--net", "--mount", "--ipc", "--uts", "--pid",
            "--fork", "--kill-child", "--propagation", "private",
            "/usr/bin/python3", "-I", str(node.INIT), "bed", str(bed.dir)]
    pid = node.read_ready(argv, bed.dir / "keeper.log",
                          preexec_fn=ns.die_with_parent)
    node.write_life(bed.dir, pid)
    net.make_bridge(pid)


def wait_for_end():
    """Return when the owner has gone or somebody asks us to stop."""
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def watch_owner():
        while os.read(0, 1):
            pass
        end.set()
    if "--detached" not in sys.argv:
        threading.Thread(target=watch_owner, daemon=True).start()
    end.wait()


def main():
    """Run one bed from its start to its end."""
    bed = Bed(pathlib.Path(sys.argv[1]))
    with open(bed.dir / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        start_bed(bed)
        server = fence.FenceServer(bed)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print("ready", flush=True)
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        wait_for_end()
        server.shutdown()
        remains.remove(bed.dir)


if __name__ == "__main__":
    main()
