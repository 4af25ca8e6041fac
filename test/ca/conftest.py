# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: ``server`` serves a directory, ``xfs_server`` a loop device."""
import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from ca_server import CaServer  # noqa: E402


def run_server(top, xfs):
    """Generator of a started server."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = CaServer(top)
    try:
        if xfs:
            one.use_xfs()
        one.start()
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.stop()
        one.drop_xfs()
    assert one.lines("PANIC") == 0


@pytest.fixture
def server(tmp_path):
    """smbd on a directory."""
    yield from run_server(tmp_path, False)


@pytest.fixture
def xfs_server(tmp_path):
    """smbd on an XFS whose flushes can be counted."""
    yield from run_server(tmp_path, True)
