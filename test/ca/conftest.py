# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: ``server`` serves a directory, ``xfs_server`` a loop device, of
``dying_server`` the smbds can be killed in the middle of a CREATE."""
import os
import pathlib
import sys
import tempfile

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from ca_server import CaServer, DyingServer  # noqa: E402


def run_server(top, xfs, kind=CaServer):
    """Generator of a started server."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = kind(top)
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


@pytest.fixture
def dying_server():
    """smbd on a directory, with fault points. Its clients' user may not enter
    pytest's directories."""
    with tempfile.TemporaryDirectory(prefix="dying-") as name:
        top = pathlib.Path(name)
        top.chmod(0o755)
        yield from run_server(top, False, DyingServer)
