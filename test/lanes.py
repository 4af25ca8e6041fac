# SPDX-License-Identifier: GPL-3.0-or-later
"""Two lanes of tests (pytest-xdist), and programs that are tests themselves.

make check runs two workers; each has its own bed, and most of what a bed does
is to wait for CTDB's timers. Programs that keep a processor busy (unit tests,
fuzz targets, the model: marked `program`) and tests whose limits are far away
(`patient`) come first; all others come after them, so that what they measure
is not disturbed by programs of ours. Of these the files that take minutes
(`long`) begin, or one of them would run alone at the end.

A test that measures a time which is promised for a machine of its own (`quiet`)
is given both processors: its bed is made beside others, then it waits for the
other worker's test and keeps the next one waiting. One that has room enough
beside another bed, but not on a machine on which all takes several times as
long, says `quiet(on="slow")`.
"""
import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import time

SLOW_MS = 1.2       # a usual machine starts a process within 0.5
SLOW_ENV = "SOFS_SLOW_MACHINE"

PROGRAM, PATIENT, LONG, ALONE = range(4)


def place(item):
    """When in the session a test has its turn."""
    if item.get_closest_marker('program'):
        return PROGRAM
    if item.get_closest_marker('patient'):
        return PATIENT
    return LONG if item.get_closest_marker('long') else ALONE


def process_ms():
    """How long a process takes to start and end here, at its best."""
    def once():
        began = time.monotonic()
        subprocess.run(["/usr/bin/true"], check=True)
        return 1000 * (time.monotonic() - began)
    return min(once() for _ in range(30))


def measure():
    """Once for a session, by who starts the workers; they inherit it. For
    people: what was found."""
    took = process_ms()
    slow = took > SLOW_MS
    os.environ[SLOW_ENV] = "1" if slow else ""
    return f"a process takes {took:.2f} ms here" + (": slow" if slow else "")


def is_quiet(item):
    """Does the test want both processors, on this machine?"""
    mark = item.get_closest_marker("quiet")
    return mark is not None and (mark.kwargs.get("on") != "slow"
                                 or bool(os.environ.get(SLOW_ENV)))


class Turns:
    """Who may run now: tests of two workers together, a quiet one alone.

    Two files are locked. Everybody comes in by the door; who wants to be alone
    stands in it until the room is empty, so that nobody new comes in.
    """

    def __init__(self, directory):
        self._directory = pathlib.Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._room = None

    def _enter(self, how):
        with open(self._directory / "door.lock", "w", encoding="ascii") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(self._room, how)

    @contextlib.contextmanager
    def test(self):
        """For all of a test, its set-up and its end: beside the other's."""
        with open(self._directory / "room.lock", "w",
                  encoding="ascii") as self._room:
            self._enter(fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def alone(self):
        """Inside of test(): until the end of it nothing runs beside."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._enter(fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_SH)


def program(argv, seconds, nice=5, **kwargs):
    """Run a program that gives way to the beds' daemons, and all that it
    starts; CompletedProcess with its output, errors included, as text."""
    argv = ['setpriv', '--pdeathsig', 'KILL', 'nice', '-n', str(nice), *argv]
    with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace',
            start_new_session=True, **kwargs) as child:
        try:
            text, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            text, _ = child.communicate()
            text += f'\nno end within {seconds} s\n'
        except BaseException:       # Ctrl-C, too
            os.killpg(child.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(argv, child.returncode, text)
