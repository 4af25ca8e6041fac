# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent handles, request by request, of a client that goes from node to
node: that of test/ca, on the bed's network."""

import contextlib
import ctypes
import os
import pathlib
import sys
import time

from bed import proc
from bed.moved import Moved
from bed.samba import USERS

TEST = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TEST / "ca"), str(TEST / "park")]

# pylint: disable=wrong-import-position
import smb2raw as raw  # noqa: E402
from ca_server import Client, FILE_NOT_AVAILABLE  # noqa: E402

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def _setns(path):
    with open(path, "rb") as space:
        if LIBC.setns(space.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


@contextlib.contextmanager
def network_of(client):
    """What this thread connects meanwhile is the client's."""
    with open("/proc/thread-self/ns/net", "rb") as home:
        _setns(f"/proc/{client.pid}/ns/net")
        try:
            yield
        finally:
            if LIBC.setns(home.fileno(), CLONE_NEWNET) != 0:
                os._exit(1)     # no test goes on in the wrong network


class Handles(Client):
    """``one = Handles(client, node, "ca"); file = one.open("disk")``."""

    def __init__(self, client, node, share, user="alice"):
        self.client, self.user = client, user
        # What it moves, and where, is not told.
        client.bed.moved.append(Moved(share, None, whole=False))
        self.node = node
        super().__init__(None, share)

    def connect(self):
        """To the node that it was told to use, as after a lost connection."""
        previous = self.conn.session if self.conn else 0
        with network_of(self.client):
            self.conn = raw.Connection(
                445, self.user, USERS[self.user][1], guid=self.guid,
                previous=previous, host=self.node.address)
        self.tid = self.conn.tree(self.share)

    def crash(self):
        """Only nodes crash here."""
        raise NotImplementedError

    def go_to(self, node):
        """Its connection is gone; a new one, to this node."""
        self.conn.close()
        self.node = node
        self.connect()


def come_back(file, node, timeout=30):
    """Reconnect on another node, as often as it takes; the seconds."""
    began = time.monotonic()
    file.client.go_to(node)
    said = []

    def back():
        said.append(file.try_reconnect())
        assert said[-1] in (0, FILE_NOT_AVAILABLE), hex(said[-1])
        return said[-1] == 0
    proc.wait_until(f"{file.name} is back", back, timeout, 0.1)
    return time.monotonic() - began
