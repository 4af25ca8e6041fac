# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong: each function makes one real fault."""

import json
import signal

from . import fence, net, proc
from .errors import BedError


def kill(node):
    """All processes of the node die at once; its peers see resets.

    The kernel, which all nodes share, still writes back what was dirty; see
    power_cut for a fault that loses it.
    """
    with node.lock():
        fence.kill(node)


def power_cut(node):
    """The node's file systems lose what was not flushed, then it dies."""
    with node.lock():
        fence.cut_storage(node)
        fence.kill(node)


def _cuts(bed, silent, groups):
    net.set_cuts(bed.pid, [n.cable for n in silent],
                 [[n.cable for n in group] for group in groups])
    path = bed.dir / "silent.json"
    path.write_text(json.dumps([n.name for n in silent]), "utf-8")


def silent(bed):
    """The nodes that are silent now."""
    path = bed.dir / "silent.json"
    names = json.loads(path.read_text("utf-8")) if path.exists() else []
    return [bed.node(name) for name in names]


def silence(node):
    """Drop every packet from and to the node, ARP too; it lives on."""
    _cuts(node.bed, [*silent(node.bed), node], [])


def speak(node):
    """The opposite of silence."""
    _cuts(node.bed, [n for n in silent(node.bed) if n != node], [])


def partition(bed, *groups):
    """Members of different groups (nodes, clients) no longer reach each
    other; who is in no group reaches all."""
    _cuts(bed, [], groups)


def cut_port(source, target, port):
    """Drop what one node sends to a TCP port of another."""
    net.set_cuts(source.bed.pid, [], [], [(source.cable, target.cable, port)])


def join(bed):
    """End every partition, every silence and every cut."""
    _cuts(bed, [], [])


def hang(node):
    """Every process of the node stops running; nothing is closed."""
    proc.stop_all(node.namespace("pid"))


def resume(node):
    """The opposite of hang."""
    proc.continue_all(node.namespace("pid"))


def rejoin(node):
    """Power the node on again, its persistent databases kept."""
    if node in silent(node.bed):
        speak(node)
    node.start()


def _hit(victims, sig):
    """Signal processes; a kill and a stop have happened on return."""
    for pid in victims:
        proc.send(pid, sig)
    done = {signal.SIGKILL: ("Z", "X", None),
            signal.SIGSTOP: ("T", "t", "Z", None)}.get(sig)
    if done:
        proc.wait_until(f"{sig.name} done", lambda: all(
            proc.state(p) in done for p in victims), 10, 0.01)
    return victims


def signal_all(node, name, sig=signal.SIGKILL):
    """Signal every process with this name; return their host ids.

    Who is killed is stopped first: none of them acts on another's end.
    """
    found = node.pids(name)
    if not found:
        raise BedError(f"{node.name}: no {name} runs")
    if sig == signal.SIGKILL:
        _hit(found, signal.SIGSTOP)
    return _hit(found, sig)


def csvd_pids(node):
    """(supervisors, workers): a worker's parent is a csvd too."""
    found = node.pids("csvd")
    workers = [p for p in found if proc.parent(p) in found]
    return [p for p in found if p not in workers], workers


def kill_csvd(node, sig=signal.SIGKILL):
    """Kill csvd's worker (or all of csvd, if it has none)."""
    supervisors, workers = csvd_pids(node)
    victims = workers or supervisors
    if not victims:
        raise BedError(f"{node.name}: no csvd runs")
    return _hit(victims, sig)


def kill_ctdbd(node):
    """Kill ctdbd and its recovery daemon; the rest finds out itself."""
    return signal_all(node, "ctdbd")


def stop_smbd(node):
    """SIGSTOP every smbd of the node; return their host ids."""
    return signal_all(node, "smbd", signal.SIGSTOP)


def continue_smbd(node):
    """The opposite."""
    return signal_all(node, "smbd", signal.SIGCONT)
