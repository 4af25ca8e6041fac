# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that go where their witness sends them."""

import contextlib
import json
import pathlib
import subprocess
import threading

from bed import net, proc
from bed.errors import BedError
from bed.samba import USERS

from .running import Stream
from .witness import RESOURCE_CHANGE, UNAVAILABLE

SCRIPT = pathlib.Path(__file__).with_name("raw_follow.py")


class Followers:
    """``with Followers(client, share, streams, addresses):`` streams are
    moved; addresses: for each, those of its data, the present one first.

    said: all that the witness clients said, in its order.
    """

    def __init__(self, client, share, streams, addresses, user="alice"):
        prefix = client.bed.config["prefix"]
        self.said, self._streams = [], streams
        self._child = client.popen(
            "env", f"PYTHONPATH={prefix}/lib/python3.11/site-packages",
            "/usr/bin/python3", "-B", SCRIPT, user, USERS[user][1], share,
            *[",".join(one) for one in addresses],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)

    def _read(self):
        for line in self._child.stdout:
            said = json.loads(line)
            self.said.append(said)
            stream = self._streams[said["client"]]
            if said.get("addresses"):
                stream.go(said["addresses"][0])
            elif said.get("type") == RESOURCE_CHANGE and any(
                    state == UNAVAILABLE for _, state in said["resources"]):
                stream.go("next")

    def moves(self, number=None):
        """Notifications with addresses, of one client or all."""
        return [said for said in list(self.said) if said.get("addresses")
                and number in (None, said["client"])]

    def wait_registered(self, timeout=60):
        """Until each has registered."""
        def registered():
            done = {said["client"] for said in list(self.said)
                    if "registered" in said}
            if len(done) == len(self._streams):
                return True
            raise BedError(f"only {sorted(done)}: {self.said[-3:]}")
        proc.wait_until("all registered with witness", registered, timeout,
                        0.1)

    def __enter__(self):
        self._reader.start()
        return self

    def __exit__(self, *_):
        self._child.stdin.close()
        self._child.wait()
        self._reader.join(10)
        self._child.stdout.close()


@contextlib.contextmanager
def followed(bed, share, where, number, others=()):
    """Streams that are at these nodes in turn, know the others as well, and
    follow their witness."""
    data = [[net.cluster_address(n.number) for n in nodes] for nodes in (
        [*where[i % len(where):], *where[:i % len(where)], *others]
        for i in range(number))]
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Stream(
            bed.client, share, f"file{i}", addresses, interval_ms=100))
            for i, addresses in enumerate(data)]
        followers = stack.enter_context(
            Followers(bed.client, share, streams, data))
        yield streams, followers
