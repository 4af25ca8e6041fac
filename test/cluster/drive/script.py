# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python client of the raw protocol, in a client's network: one JSON line
asks, one answers."""

import json
import select
import subprocess

from bed.errors import BedError
from bed.samba import USERS


class Script:
    """``with Script(client, path) as s: s.ask(...)``: path runs with Samba's
    Python bindings, a user's name and password as its arguments."""

    def __init__(self, client, path, user="alice"):
        prefix = client.bed.config["prefix"]
        self._child = client.popen(
            "env", f"PYTHONPATH={prefix}/lib/python3.11/site-packages",
            "/usr/bin/python3", "-B", path, user, USERS[user][1],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1)

    @property
    def output(self):
        """Where its answers come from, for select()."""
        return self._child.stdout

    def send(self, request):
        """Ask without waiting."""
        self._child.stdin.write(json.dumps(request) + "\n")

    def answer(self, timeout=90):
        """The answer to what was sent; BedError after timeout seconds."""
        if not select.select([self._child.stdout], [], [], timeout)[0]:
            raise BedError(f"no answer within {timeout} s")
        line = self._child.stdout.readline()
        if not line:
            raise BedError("the client ended")
        return json.loads(line)

    def ask(self, request, timeout=90):
        """The answer; BedError after timeout seconds."""
        self.send(request)
        try:
            return self.answer(timeout)
        except BedError as why:
            raise BedError(f"{request}: {why}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()
