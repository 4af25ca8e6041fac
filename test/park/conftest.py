# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixture: ``server`` is a fresh smbd with a share that can be parked."""
import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from park_server import Server  # noqa: E402


@pytest.fixture
def server(tmp_path):
    """A fresh smbd, not parked. It must end within 20 s."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    one = Server(tmp_path)
    one.start()
    yield one
    if one.process.poll() is None:
        assert one.stop() < 20
