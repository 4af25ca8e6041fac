# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of the soak: each has a beginning, a length and, where somebody
must do something, an end. What a whole node needs afterwards (power, a new
ctdbd or csvd) the mender does."""

import dataclasses
import os
import signal
import time
import typing

from bed import faults, lun, proc
from bed.errors import BedError

# Seconds that a fault lasts: blinks, about as long as it takes to be noticed,
# and longer.
BLINK, SHORT, LONG, AT_ONCE = (0, 3), (1, 12), (2, 30), (0, 0)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One kind. begin and end get the Hit. roles: whether the victim may own
    a volume, and may be one that does not. moves: may a volume change its
    owner by it? fences: may somebody be fenced?"""
    name: str
    begin: typing.Callable
    end: typing.Callable = lambda hit: None
    seconds: tuple = SHORT
    owners: tuple = (True, False)
    moves: bool = True
    fences: bool = True
    volume: typing.Optional[int] = None     # which one the victim owns


@dataclasses.dataclass
class Hit:
    """One fault that happens: to whom, beside whom, on which volume, and
    what the fault's end must know."""
    bed: object
    victim: object
    peer: object                # another node
    volume: object              # the victim's, or any
    seconds: float
    random: object              # for what is left to chance
    others: list = dataclasses.field(default_factory=list)
    tool: object = None         # a command that runs meanwhile


def _cut_off(hit):
    faults.partition(hit.bed, [hit.victim], hit.others)


def _cut_link(hit):
    faults.partition(hit.bed, [hit.victim], [hit.peer])


def _partition(hit):
    """Half of the clients are on the victim's side."""
    clients = hit.bed.clients
    faults.partition(hit.bed, [hit.victim, *clients[::2]],
                     [*hit.others, *clients[1::2]])


def _stop_csvd(hit):
    """Everything of csvd but the guard and its answerer."""
    for pid in hit.victim.pids("csvd"):
        proc.send(pid, signal.SIGSTOP)


def _continue_csvd(hit):
    """The supervisor runs again and replaces the worker."""
    for pid in hit.victim.pids("csvd"):
        proc.send(pid, signal.SIGCONT)


def _kill_worker(hit):
    faults.kill_csvd(hit.victim)


def _kill_csvd(hit):
    faults.signal_all(hit.victim, "csvd")


def _kill_csvd_and_guard(hit):
    for name in ("csvd", "csvd-guard", "csvd-answer"):
        for pid in hit.victim.pids(name):
            proc.send(pid, signal.SIGKILL)


def _end_csvd(hit):
    supervisors, _ = faults.csvd_pids(hit.victim)
    for pid in supervisors:
        proc.send(pid, signal.SIGTERM)


def _kill_guard(hit):
    faults.signal_all(hit.victim, "csvd-guard")


def _stop_ctdbd(hit):
    faults.signal_all(hit.victim, "ctdbd", signal.SIGSTOP)


def _continue_ctdbd(hit):
    """If its guard has not ended it."""
    for pid in hit.victim.pids("ctdbd"):
        proc.send(pid, signal.SIGCONT)


def _ctdb(*args):
    """The tool returns when addresses have moved, which without a leader is
    its next try, 10 s later: the fault does not wait for that."""
    def begin(hit):
        hit.tool = hit.victim.popen("ctdb", *args)
    return begin


def _ctdb_undo(*args):
    def end(hit):
        if hit.tool.poll() is None:
            os.killpg(hit.tool.pid, signal.SIGKILL)
        elif hit.tool.returncode and hit.victim.alive:
            raise BedError(f"ctdb said {hit.tool.returncode}: no fault")
        hit.tool.wait()
        if hit.victim.alive:
            proc.wait_until(f"ctdb {' '.join(args)}", lambda: hit.victim.run(
                "ctdb", *args, timeout=15).returncode == 0, 40, 1)
    return end


def _resume(hit):
    if hit.victim.alive:
        faults.resume(hit.victim)


def _fence_and_cut(mode):
    """The fence agent will not do its work when it is needed."""
    def begin(hit):
        hit.bed.fence_mode(mode)
        faults.power_cut(hit.victim)
    return begin


def _fence_again(hit):
    hit.bed.fence_mode("succeed")


def _successor_too(hit):
    """The owner, and a moment later the node that takes over or helps to."""
    faults.power_cut(hit.victim)
    time.sleep(hit.random.uniform(0, 6))
    faults.power_cut(hit.peer)


def _move(hit):
    hit.volume.move(hit.peer)


def _move_and_cut(hit):
    """The owner loses power while the volume is on its way elsewhere."""
    hit.volume.sofs("volume", "move", hit.volume.name, "--to", hit.peer.pnn,
                    node=hit.others[0], check=False)
    time.sleep(hit.random.uniform(0, 0.5))
    faults.power_cut(hit.victim)


def _block(hit):
    hit.bed.luns[hit.volume.name].block()


def _unblock(hit):
    hit.bed.luns[hit.volume.name].unblock()


def _lun_dies(hit):
    hit.bed.luns[hit.volume.name].die(hit.victim)


def _lun_heals(hit):
    hit.bed.luns[hit.volume.name].heal()


def _shut_down(hit):
    if not lun.shut_down(hit.victim.root + hit.volume.path):
        raise BedError(f"{hit.volume.name}: cannot be shut down")


def serving_smbds(node):
    """Host process ids of the smbds that serve a client."""
    found = node.pids("smbd")
    return [pid for pid in found if proc.title(pid).startswith("smbd[")]


def _kill_smbd(hit):
    for pid in serving_smbds(hit.victim):
        proc.send(pid, signal.SIGKILL)


def _shutdown_ctdb(hit):
    hit.victim.stop_daemons(timeout=60)


BLOCKED = 1                     # the volume whose disk can be late

FAULTS = (
    Fault("node silent", lambda hit: faults.silence(hit.victim)),
    Fault("cut off from the nodes", _cut_off),
    Fault("link to one node cut", _cut_link),
    Fault("partition, half of the clients with it", _partition),
    Fault("csvd SIGSTOPped", _stop_csvd, _continue_csvd, fences=False),
    Fault("csvd's worker killed", _kill_worker, seconds=BLINK, moves=False,
          fences=False),
    Fault("csvd killed", _kill_csvd, seconds=BLINK, fences=False),
    Fault("csvd and its guard killed", _kill_csvd_and_guard, seconds=SHORT),
    Fault("csvd ended (SIGTERM)", _end_csvd, seconds=BLINK, fences=False),
    Fault("csvd's guard killed", _kill_guard, seconds=BLINK, moves=False,
          fences=False),
    Fault("ctdbd SIGSTOPped", _stop_ctdbd, _continue_ctdbd, fences=False),
    Fault("ctdbd killed", lambda hit: faults.kill_ctdbd(hit.victim),
          seconds=SHORT, fences=False),
    Fault("all processes SIGSTOPped", lambda hit: faults.hang(hit.victim),
          _resume, seconds=LONG),
    Fault("node banned", _ctdb("ban", "60"), _ctdb_undo("unban"), fences=False),
    Fault("node stopped", _ctdb("stop"), _ctdb_undo("continue"), fences=False),
    Fault("ctdb shutdown", _shutdown_ctdb, seconds=BLINK, fences=False),
    Fault("power cut", lambda hit: faults.power_cut(hit.victim)),
    Fault("killed", lambda hit: faults.kill(hit.victim)),
    Fault("power cut, then its successor's", _successor_too, seconds=BLINK,
          owners=(True,)),
    Fault("power cut, fence agent fails", _fence_and_cut("fail"),
          _fence_again, owners=(True,)),
    Fault("power cut, fence agent hangs", _fence_and_cut("hang"),
          _fence_again, owners=(True,)),
    Fault("planned move", _move, seconds=AT_ONCE, owners=(True,),
          fences=False),
    Fault("power cut in a planned move", _move_and_cut, owners=(True,)),
    Fault("disk answers late", _block, _unblock, seconds=LONG,
          owners=(True,), moves=False, fences=False, volume=BLOCKED),
    Fault("LUN dead on its owner", _lun_dies, _lun_heals, owners=(True,),
          fences=False),
    Fault("file system shut down", _shut_down, seconds=AT_ONCE,
          owners=(True,), fences=False),
    Fault("smbds killed", _kill_smbd, seconds=AT_ONCE, moves=False,
          fences=False),
)
