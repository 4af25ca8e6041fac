# SPDX-License-Identifier: GPL-3.0-or-later
"""Single SMB requests, each with its NT status and its time."""

import json
import pathlib
import select
import subprocess

from bed.errors import BedError
from bed.moved import Moved
from bed.samba import USERS

SCRIPT = pathlib.Path(__file__).with_name("smb_session.py")
OK = 0
SHARING_VIOLATION = 0xC0000043
FILE_LOCK_CONFLICT = 0xC0000054
IO_DEVICE_ERROR = 0xC0000185


class Answer:
    """What the server said to one request."""

    def __init__(self, status, result, ms):
        self.status, self.result, self.ms = status, result, ms

    def __repr__(self):
        return f"<0x{self.status:08X} after {self.ms} ms>"

    def must(self, status=OK, within_ms=None):
        """The result, if this was the answer and came soon enough."""
        assert self.status == status, self
        assert within_ms is None or self.ms <= within_ms, self
        return self.result


class Session:
    """``with Session(client, node, share) as s: s.open("x").must()``.

    An answer may be waited for later: ``s.begin("read", …)`` … ``s.end()``.
    """

    def __init__(self, client, node, share, user="alice"):
        prefix = client.bed.config["prefix"]
        self._moved, self._asked = Moved(share, node.address), []
        client.bed.moved.append(self._moved)
        self._name = f"session with {node.name}"
        self._child = client.popen(
            "env", f"PYTHONPATH={prefix}/lib/python3.11/site-packages",
            "/usr/bin/python3", "-B", SCRIPT, node.address, share, user,
            USERS[user][1], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1)

    def begin(self, verb, *args):
        """Send a request."""
        self._asked.append([verb, *args])
        self._child.stdin.write(json.dumps([verb, *args]) + "\n")

    def answered(self, timeout=0):
        """Is the answer there?"""
        return bool(select.select([self._child.stdout], [], [], timeout)[0])

    def end(self, timeout=30):
        """The answer."""
        if not self.answered(timeout):
            raise BedError(f"{self._name}: no answer within {timeout} s")
        line = self._child.stdout.readline()
        if not line:
            raise BedError(f"{self._name} ended")
        answer = Answer(**json.loads(line))
        self._count(self._asked.pop(0), answer)
        return answer

    def _count(self, asked, answer):
        if answer.status == OK and asked[0] == "read":
            self._moved.read += len(answer.result) // 2
        elif answer.status == OK and asked[0] == "write":
            self._moved.written += len(asked[3]) // 2
        elif asked[0] in ("read", "write"):
            self._moved.whole = False

    def _do(self, *request):
        self.begin(*request)
        return self.end()

    def open(self, path, access=0, share=None, create=True):
        """Open a file; the result is its handle."""
        return self._do("open", path, access, share, create)

    def read(self, handle, offset, size):
        """Read; the result is the data in hexadecimal."""
        return self._do("read", handle, offset, size)

    def write(self, handle, offset, data):
        """Write; the result is how much."""
        return self._do("write", handle, offset, data.hex())

    def close(self, handle):
        """Close a handle."""
        return self._do("close", handle)

    def __enter__(self):
        self._asked.append(["connect"])
        self.end().must()
        return self

    def __exit__(self, *_):
        self._moved.whole = self._moved.whole and not self._asked
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()
