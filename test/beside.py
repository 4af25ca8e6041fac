# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are tests by themselves, run beside other tests.

A test with @pytest.mark.beside(run=function) only waits for what the function,
called with the test's parameters in a thread, returns: the fixture `beside`
gives it. The functions begin with the session, as many at a time as there are
cores; tests marked `patient`, whose limits are far away, run meanwhile. All
others come when the last function has ended, so that what they measure is not
disturbed.
"""
import concurrent.futures
import os
import signal
import subprocess
import threading

PATIENT, BESIDE, ALONE = range(3)

_lock = threading.Lock()
_running = set()
_ended = False


def place(item):
    """When in the session a test has its turn."""
    if item.get_closest_marker('patient'):
        return PATIENT
    return BESIDE if item.get_closest_marker('beside') else ALONE


def program(argv, seconds, nice=5, **kwargs):
    """Run a program that gives way to the bed's daemons, and all that it
    starts; CompletedProcess with its output, errors included, as text."""
    argv = ['setpriv', '--pdeathsig', 'KILL', 'nice', '-n', str(nice), *argv]
    with _lock:
        if _ended:
            raise RuntimeError('the session has ended')
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace',
            start_new_session=True, **kwargs)
        _running.add(child)
    try:
        text, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        text, _ = child.communicate()
        text += f'\nno end within {seconds} s\n'
    finally:
        with _lock:
            _running.discard(child)
    return subprocess.CompletedProcess(argv, child.returncode, text)


class Programs:
    """The functions of a session's tests, on their way."""

    def __init__(self, items):
        self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        self._found = {}
        # the last first: the longest are among the unit tests
        for item in reversed(items):
            marker = item.get_closest_marker('beside')
            if marker:
                params = item.callspec.params if hasattr(
                    item, 'callspec') else {}
                self._found[item.nodeid] = self._pool.submit(
                    marker.kwargs['run'], **params)

    def result(self, item):
        """What the test's function returned or raised."""
        return self._found[item.nodeid].result()

    def end(self):
        """Nothing runs any more."""
        global _ended               # pylint: disable=global-statement
        with _lock:
            _ended = True
            for child in _running:
                os.killpg(child.pid, signal.SIGKILL)
        self._pool.shutdown(cancel_futures=True)
