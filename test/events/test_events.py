# SPDX-License-Identifier: GPL-3.0-or-later
"""45.csv against stubs: what it hands to csvd, and how long it may take."""

import subprocess

import pytest

from event_world import SCRIPTS

LIMIT = 5  # seconds: an event that takes longer can ban a node


def test_startup_starts_csvd(world):
    """startup: csvd is started once."""
    code, out, took = world.event("startup")
    assert (code, out) == (0, "")
    assert world.calls() == ["csvd"] and took < LIMIT


def test_startup_leaves_a_running_csvd_alone(world):
    """startup: a csvd that runs is not started again."""
    world.running_csvd()
    assert world.event("startup")[0] == 0
    assert world.calls() == []


def test_startup_sees_through_a_stale_pid_file(world):
    """startup: the pid file of a dead csvd counts for nothing."""
    child = world.running_csvd()
    child.kill()
    child.wait()
    assert world.event("startup")[0] == 0
    assert world.calls() == ["csvd"]


def test_startup_fails_when_csvd_does_not_start(world):
    """startup: a csvd that cannot start fails the event with one line."""
    world.stub("csvd", "exit 1")
    code, out, _ = world.event("startup")
    assert code == 1 and out == "Failed to start csvd\n"


def test_startup_does_not_wait_for_a_hanging_csvd(world):
    """startup: a csvd that hangs cannot make the event time out."""
    world.stub("csvd", "exec sleep 30")
    code, _, took = world.event("startup")
    assert code == 1 and took < LIMIT


def test_startup_passes_the_options(world):
    """startup: program and options come from the options file."""
    world.stub("mycsvd", "exit 0")
    world.options("CTDB_CSV_CSVD=mycsvd\nCTDB_CSV_CSVD_OPTIONS='-d 5'\n")
    assert world.event("startup")[0] == 0
    assert world.calls() == ["mycsvd -d 5"]


def test_init_starts_the_voter(world):
    """init: before CTDB takes its cluster lock, with the lock's options."""
    world.cluster_lock("!csv_quorum_helper --third file:/x,uuid=1")
    world.stub("csv_quorum_helper", "exit 0")
    code, out, took = world.event("init")
    assert (code, out) == (0, "") and took < LIMIT
    world.wait_call("csv_quorum_helper --third file:/x,uuid=1 --voter")


@pytest.mark.parametrize("lock", ["", "/some/file", "!/other/helper x"])
def test_init_starts_no_voter_for_another_lock(world, lock):
    """init, monitor: other cluster locks have no voters of ours."""
    world.cluster_lock(lock)
    world.stub("csv_quorum_helper", "exit 0")
    world.running_csvd()
    assert world.event("init")[0] == 0
    assert world.event("monitor")[0] == 0
    assert world.calls() == []


def test_monitor_starts_a_voter_that_is_gone(world):
    """monitor: a voter that runs is left alone, one that died comes back."""
    world.cluster_lock("!csv_quorum_helper")
    world.stub("csv_quorum_helper", "exit 0")
    csvd = world.running_csvd()
    pidfile = world.path / "run/quorum.pid"
    pidfile.write_text(f"{csvd.pid}\n", encoding="utf-8")
    assert world.event("monitor")[0] == 0
    assert world.calls() == []
    pidfile.unlink()
    assert world.event("monitor")[0] == 0
    world.wait_call("csv_quorum_helper --voter")


def test_shutdown_moves_volumes_away_and_leaves_csvd(world):
    """shutdown: volumes are asked away, csvd itself goes on."""
    child = world.running_csvd()
    assert world.event("shutdown")[0] == 0
    assert world.calls() == ["sofs node drain --exit --timeout 10"]
    assert child.poll() is None


def test_shutdown_is_bounded(world):
    """shutdown: a drain that hangs ends, and the shutdown goes on."""
    world.running_csvd()
    world.options("CTDB_CSV_SHUTDOWN_TIMEOUT=1\n")
    world.stub("sofs", "exec sleep 60")
    code, out, took = world.event("shutdown")
    assert code == 0 and "WARNING" in out and took < LIMIT


def test_shutdown_goes_on_when_a_volume_stays(world):
    """shutdown: a volume that does not leave does not fail it."""
    world.running_csvd()
    world.stub("sofs", "exit 1")
    code, out, _ = world.event("shutdown")
    assert code == 0 and out == "WARNING: not every volume left this node\n"


def test_shutdown_without_csvd(world):
    """shutdown: nothing to do."""
    code, out, _ = world.event("shutdown")
    assert (code, out, world.calls()) == (0, "", [])


def test_monitor_asks_nothing_of_a_running_csvd(world):
    """monitor: whatever the volumes' states, the node is healthy."""
    world.running_csvd()
    world.stub("sofs", "exit 1")
    code, out, took = world.event("monitor")
    assert (code, out, world.calls()) == (0, "", []) and took < LIMIT


def test_monitor_starts_a_dead_csvd_and_gives_up_late(world):
    """monitor: csvd is started again; unhealthy only the third time."""
    for _ in range(2):
        code, out, _ = world.event("monitor")
        assert code == 0 and out == "WARNING: csvd does not run, starting it\n"
    code, out, _ = world.event("monitor")
    assert code == 1 and "csvd does not run (3 times in a row)" in out
    assert world.calls() == ["csvd"] * 3


def test_monitor_forgets_when_csvd_is_back(world):
    """monitor: failures must be in a row."""
    world.event("monitor")
    world.event("monitor")
    child = world.running_csvd()
    assert world.event("monitor")[0] == 0
    child.kill()
    child.wait()
    assert world.event("monitor")[0] == 0


@pytest.mark.parametrize("event", ["recovered", "ipreallocated"])
def test_membership_is_handed_over(world, event):
    """recovered, ipreallocated: one signal, no waiting."""
    world.running_csvd()
    code, out, took = world.event(event)
    assert (code, out) == (0, "") and took < LIMIT
    assert world.saw_usr1() and world.calls() == []


@pytest.mark.parametrize("event", ["recovered", "ipreallocated"])
def test_membership_without_csvd(world, event):
    """recovered, ipreallocated: no csvd, no failure."""
    assert world.event(event)[:2] == (0, "")


@pytest.mark.parametrize("event", ["startup", "monitor", "shutdown"])
def test_node_without_csvd_is_healthy(world, event):
    """No csvd installed: no volumes, no failure."""
    (world.path / "bin/csvd").unlink()
    code, out, _ = world.event(event)
    assert code == 0 and world.calls() == []
    assert ("not installed" in out) == (event == "startup")


@pytest.mark.parametrize("event", ["init", "setup", "startrecovery",
                                   "startipreallocate", "takeip",
                                   "releaseip", "updateip", "unknown"])
def test_other_events_do_nothing(world, event):
    """Every other event: success without any call."""
    world.running_csvd()
    assert world.event(event, "eth0", "10.0.0.1", "24")[:2] == (0, "")
    assert world.calls() == []


def test_shellcheck():
    """All scripts are clean POSIX sh."""
    done = subprocess.run(
        ["shellcheck", "-s", "sh", "-e", "SC1091", "-e", "SC1090",
         *SCRIPTS.glob("*.script")],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
