# SPDX-License-Identifier: GPL-3.0-or-later
"""CTDB recovers its databases, again and again, while clients use persistent
handles: none is refused, none is lost."""

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import signal
import time

from bed import checks, faults, proc
from bed.samba import find_prefix
from drive import Running, Volume, quorum
from drive.ctdb_control import (RECOVERY_ACTIVE, RECOVERY_NORMAL,
                                set_recmode)
from drive.preload import preloaded

TIMES = 200 if os.environ.get("SOFS_SOAK") else 4
VERSION_LOCK = "samba_version_string"
CLAIMED = "another smbd claims its version now"
WAITS = "waits for the end of the recovery"
DISABLED = "Disabling takeover runs for 60 seconds"
ENABLED = "is gone, reenabling takeover runs"
DEFERRED = "DB Attach to database g_lock.tdb deferred"
CTDB_PORT = "4379"
TORN_DOWN = "Tearing down connection"
MODE_NORMAL = "Recovery mode set to NORMAL"
NO_ELECTION = "Unable to set recovery mode to active on cluster"
BANNED = "Banning this node"
RECOVERED = "Recovery complete"
LEFT_ACTIVE = "Recovery mode was set to ACTIVE meanwhile"
HELD = """#!/bin/sh
while [ -e /shared/hold ]; do
	sleep 0.05
done
exec /shared/real/%s "$@"
"""
SLOW_ONCE = """#!/bin/sh
if [ "$1" = %s ] && rm /tmp/slow 2>/dev/null; then
	sleep %d
fi
exit 0
"""


def test_recoveries_refuse_nothing(bed, volume):
    """Each handle that is made, used and closed is stored in all nodes, at any
    moment of a recovery."""
    panics = checks.Panics(bed)
    patient = ["--echo-timeout-ms", "15000"]   # a recovery may take seconds
    with Running(bed.client, "ops", "vms", "ops-1", [bed.node(2)],
                 options=patient) as one, \
            Running(bed.clients[1], "ops", "vms", "ops-2", [bed.node(3)],
                    options=patient) as two:
        for number in range(TIMES):
            bed.nodes[number % len(bed.nodes)].ctdb("recover")
    for ops in (one, two):
        ops.assert_no_error()
        assert ops.report["reconnects"] == 0
        print(ops.report["operations"], "operations, longest:",
              ops.report["longest_operation_ms"])
    volume.check()
    panics.check()


def ctdb_socket(node):
    """Where its ctdbd listens."""
    return f"{node.root}{find_prefix()}/var/run/ctdb/ctdbd.socket"


def test_ban_ends_after_a_recovery(bed):
    """A recovery that began before a ban thaws the databases after it: the
    node freezes them again, and the ban ends (patch 0015)."""
    leader = bed.wait_healthy()     # keeps the cluster lock meanwhile
    volume = Volume(bed).placed()
    if volume.owner() != leader:
        volume.move(leader)         # whose ban is another test's
    node = next(n for n in bed.nodes if n != leader)
    seen = len(node.log("log.ctdb"))
    node.ctdb("ban", "12")
    proc.wait_until("its databases are frozen", lambda: "Freeze all"
                    in node.log("log.ctdb")[seen:], 3, 0.1)
    time.sleep(3)       # and recoverd, once a second, has seen to it
    proc.wait_until("it is told of a recovery's end", lambda: set_recmode(
        ctdb_socket(node), RECOVERY_NORMAL) == 0, 4, 0.2)
    bed.wait_healthy(timeout=30)


def commit_meets_a_recovery(commits, late, value):
    """One node commits while another has not left a recovery yet, but does
    soon. True: that took no further recovery."""
    def told(what):
        return late.log("log.ctdb").count(what)

    begun, waited = told("Recovery has started"), told(WAITS)
    assert set_recmode(ctdb_socket(late), RECOVERY_ACTIVE) == 0
    with commits.popen("net", "registry", "setvalue", "HKLM\\Software\\late",
                       "number", "dword", str(value)) as commit:
        proc.wait_until("the update waits, or was refused", lambda: told(WAITS)
                        > waited or commit.poll() is not None, 20, 0.005)
        assert set_recmode(ctdb_socket(late), RECOVERY_NORMAL) == 0
        assert commit.wait(60) == 0
    return told("Recovery has started") == begun


def test_commit_while_a_node_still_recovers(bed):
    """Nodes leave a recovery one after the other. What one commits then waits
    for the others, and makes no further recovery (patch 0019)."""
    bed.wait_healthy()
    commits, late = bed.node(3), bed.node(2)
    commits.run("net", "registry", "createkey", "HKLM\\Software\\late")
    try:
        # The leader looks once a second whether all nodes are recovered.
        assert any([commit_meets_a_recovery(commits, late, value)
                    for value in range(5)])
        for node in bed.nodes:
            said = node.run("net", "registry", "getvalueraw",
                            "HKLM\\Software\\late", "number").stdout
            assert said.strip() == "4", said
    finally:
        commits.run("net", "registry", "deletekey", "HKLM\\Software\\late")
    bed.wait_healthy()


def slow_once(node, event, seconds):
    """The next such event of the node takes so long."""
    script = pathlib.Path(
        f"{node.root}{find_prefix()}/etc/ctdb/events/legacy/99.slow.script")
    script.write_text(SLOW_ONCE % (event, seconds), encoding="utf-8")
    script.chmod(0o755)
    node.run("touch", "/tmp/slow")
    return script


def slow_now(node):
    """Is it in that event?"""
    return not pathlib.Path(f"{node.root}/tmp/slow").exists()


def test_leader_dies_in_a_takeover_run(bed):
    """It has told the others to leave public addresses alone for 60 s: they
    take its own all the same (patch 0025)."""
    leader = bed.wait_healthy()
    last, out = (node for node in bed.nodes if node != leader)
    address = next(a for a, n in bed.public_ips(last).items()
                   if n == leader.number)
    seen = len(last.log("log.ctdb"))
    script = slow_once(last, "ipreallocated", 10)
    try:
        with out.popen("ctdb", "disable") as disable:
            proc.wait_until("the takeover run is slow",
                            lambda: slow_now(last), 20)
            assert DISABLED in last.log("log.ctdb")[seen:]
            faults.kill(leader)
            proc.wait_until("its address is taken over", lambda: bed.public_ips(
                last).get(address) == last.number, 30)
            assert disable.wait(60) == 0
        assert ENABLED in last.log("log.ctdb")[seen:]
    finally:
        script.unlink()
        out.ctdb("enable")
        faults.rejoin(leader)
    bed.wait_healthy()


@contextlib.contextmanager
def held(bed, node, helper):
    """A helper of ctdbd's on this node goes on when this ends. helper: where
    it is for the node and for the machine."""
    inside, outside = helper
    shared, name = bed.dir / "shared", pathlib.Path(inside).name
    (shared / "real").mkdir(exist_ok=True)
    shutil.copy(outside, shared / "real" / name)
    script = shared / f"held_{name}"
    script.write_text(HELD % name, encoding="utf-8")
    script.chmod(0o755)
    (shared / "hold").touch()
    node.run("mount", "--bind", f"/shared/held_{name}", inside)
    try:
        yield
    finally:
        # The mount stays as long as the node lives: a helper that starts just
        # now would be a script when it is executed and the real one when read.
        (shared / "hold").unlink()


@contextlib.contextmanager
def not_yet_started(bed, node):
    """The node's ctdbd listens to the others, but does not start its transport
    before it has frozen its databases, which it may when this ends."""
    lock_helper = f"{find_prefix()}/libexec/ctdb/ctdb_lock_helper"
    with held(bed, node, (lock_helper, lock_helper)):
        node.run("ctdbd")
        yield
    proc.wait_until("ctdbd answers", lambda: node.run(
        "ctdb", "pnn", check=False).returncode == 0, 20)


def test_attach_during_a_slow_event(bed):
    """A node's first recovery is over but for its event, which takes long:
    who opens a database then waits for that, not for two minutes (patch
    0029)."""
    leader = bed.wait_healthy()
    late = next(n for n in bed.nodes if n != leader)
    late.stop_daemons()
    seen = late.log("log.ctdb").count(DEFERRED)
    script = slow_once(late, "recovered", 4)
    try:
        late.start_daemons()
        proc.wait_until("it is in the event", lambda: slow_now(late), 30)
        late.run("ctdb", "-t", "30", "attach", "g_lock.tdb", timeout=40)
        assert late.log("log.ctdb").count(DEFERRED) > seen
    finally:
        script.unlink()
    bed.wait_healthy()


def established(node, local, remote):
    """Has the node a TCP connection from and to what begins so?"""
    return any(line.split()[2].startswith(local)
               and line.split()[3].startswith(remote)
               for line in node.run("ss", "-Htn", "state", "established")
               .stdout.splitlines())


def test_connection_that_ends_before_the_start(bed):
    """A peer's connection comes and goes while ctdbd starts: it joins all the
    same, and its connections are not torn down for ever (patch 0007)."""
    leader = bed.wait_healthy()
    volume = Volume(bed).placed()
    if volume.owner() != leader:
        volume.move(leader)
    late, peer = (node for node in bed.nodes if node != leader)
    here, there = late.cluster_address + ":", peer.cluster_address + ":"
    late.stop_daemons()
    seen = late.log("log.ctdb").count(TORN_DOWN)
    with not_yet_started(bed, late):
        proc.wait_until("the peer has connected", lambda: established(
            late, here + CTDB_PORT, there), 20)
        assert late.pids("ctdb_lock_helper"), "it has frozen already"
        peer.restart_ctdbd()
        proc.wait_until("it has connected to the peer", lambda: established(
            late, here, there + CTDB_PORT), 20)
    late.start_csvd()
    bed.wait_healthy()
    assert late.log("log.ctdb").count(TORN_DOWN) - seen < 10


def test_election_while_nodes_leave_a_recovery(bed):
    """An election sets the recovery mode to active while a node still checks
    the cluster lock before its mode is normal again: it stays active, and the
    next leader recovers (patch 0028)."""
    leader = bed.wait_healthy()
    late = next(n for n in bed.nodes if n != leader)
    begun = late.log("log.ctdb").count(MODE_NORMAL)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with held(bed, late, ("/bed/bin/csv_quorum_helper", quorum.HELPER)):
            assert set_recmode(ctdb_socket(late), RECOVERY_ACTIVE) == 0
            normal = pool.submit(set_recmode, ctdb_socket(late),
                                 RECOVERY_NORMAL)
            proc.wait_until("it checks the lock", lambda: late.log(
                "log.ctdb").count(MODE_NORMAL) > begun, 4, 0.02)
            assert set_recmode(ctdb_socket(late), RECOVERY_ACTIVE) == 0
        assert normal.result() != 0
    assert LEFT_ACTIVE in late.log("log.ctdb")
    bed.wait_healthy()


def test_lock_lost_while_a_node_hangs(bed):
    """The leader's hold of the cluster lock ends while another node does not
    answer, so that no election can begin: there is one when that node is known
    to be dead, and nobody is banned (patch 0030)."""
    leader = bed.wait_healthy()
    other, hangs = [node for node in bed.nodes if node != leader]
    seen = {node: len(node.log("log.ctdb")) for node in (leader, other)}

    def said(node, words):
        return words in node.log("log.ctdb")[seen[node]:]
    faults.hang(hangs)
    try:
        for pid in quorum.helpers(leader):
            os.kill(pid, signal.SIGKILL)
        proc.wait_until("the election has failed", lambda: said(
            leader, NO_ELECTION), 20, 0.1)
        proc.wait_until("the others have recovered", lambda: any(
            said(node, RECOVERED) for node in seen), 60, 0.2)
        assert not said(leader, BANNED)
    finally:
        faults.resume(hangs)
    bed.wait_healthy(timeout=90)


def test_all_nodes_start_smbd_at_once(bed):
    """As after an outage of all nodes: none has told yet which Samba the
    cluster runs, and each smbd wants to (patch 0022)."""
    bed.wait_healthy()
    bed.service("smbd", "stop")
    bed.node(1).ctdb("deletekey", "g_lock.tdb",
                     "0x" + (VERSION_LOCK + "\0").encode().hex())
    slow = preloaded(bed, "slow_upgrade.c")
    starts = [node.popen("env", slow, "smbd", "-D", "--option=log level=3")
              for node in bed.nodes]
    assert [start.wait(20) for start in starts] == [0, 0, 0]
    time.sleep(6)
    assert sum(node.log().count(CLAIMED) for node in bed.nodes) == 2
    bed.service("smbd", "status")
    bed.service("smbd", "stop", "start")
    bed.wait_healthy()
