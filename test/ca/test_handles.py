# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent handles whose smbd was killed: their locks, their time."""
from ca_server import Client, SHORT


def test_timeout_is_the_shares(server):
    """ca:timeout, or what the client asks for, at most 300 s."""
    for share, asked, granted in (
            ("short", 0, SHORT * 1000), ("short", 60000, SHORT * 1000),
            ("long", 60000, 5000000),
            ("ca", 0, 60000), ("ca", 5000, 5000), ("ca", 400000, 300000)):
        file = Client(server, share).open(f"{share}{asked}", timeout=asked)
        assert file.timeout() == granted, (share, asked)
