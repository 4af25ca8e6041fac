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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One smbd for all tests; none of them may end or hang it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = park_server.Server(tmp_path_factory.mktemp("tcon"),
                             HERE / "vfs_tcon_test.c", CONF)
    one.start()
    yield one
    assert one.process.poll() is None
    assert one.stop() < 20
    assert one.lines("PANIC") == 0
