# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixture: ``server`` is an smbd whose share does what contexts tell it."""
import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "park"))

# pylint: disable=wrong-import-position
import park_server  # noqa: E402

CONF = park_server.CONF.partition("[parked]")[0] + """
[tested]
	path = {top}/share
	read only = no
	vfs objects = tcon_test
[root]
	path = {top}/share
	msdfs root = yes
	vfs objects = tcon_test
	tcon_test:caps = 0x80
[data]
	path = {top}/share
	vfs objects = tcon_test
	tcon_test:fail data = 0123456789
"""


SOAK = bool(os.environ.get("SOFS_SOAK"))


def watch_memory(one):
    """smbd below valgrind; where that writes what it finds, a file for each
    process."""
    logs = one.top / "valgrind"
    logs.mkdir()
    one.below = ("valgrind", "-q", "--leak-check=full",
                 "--show-leak-kinds=definite", f"--log-file={logs}/%p")
    return logs


def found(logs):
    """Errors and leaks; lines that begin otherwise are valgrind's own."""
    return [line for log in logs.iterdir() for line in
            log.read_text("utf-8", "replace").splitlines()
            if line.startswith("==")]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One smbd for all tests; none of them may end or hang it, nor, in soak,
    make it read or leak what it must not."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = park_server.Server(tmp_path_factory.mktemp("tcon"),
                             HERE / "vfs_tcon_test.c", CONF)
    logs = watch_memory(one) if SOAK else None
    one.start()
    yield one
    assert one.process.poll() is None
    assert one.stop() < 20
    assert one.lines("PANIC") == 0
    if logs:
        assert any(logs.iterdir()) and not found(logs), found(logs)[:30]
