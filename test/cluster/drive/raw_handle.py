# SPDX-License-Identifier: GPL-3.0-or-later
"""One client with one persistent handle, told by JSON lines where to go:
["connect", address, share], ["open", name], ["reconnect", name]. It names no
session that it had.

argv: user password.  A line out: the NT status.
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "park"))

import smb2raw as raw  # noqa: E402  pylint: disable=wrong-import-position


class Client:
    """What it is between two lines."""

    def __init__(self):
        self.guid, self.create_guid = os.urandom(16), os.urandom(16)
        self.conn = self.tid = self.handle = None
        self.left = []

    def connect(self, address, share):
        """The connection that it has is left as it is: a collected one
        would be closed, and the server told."""
        self.left.append(self.conn)
        self.conn = raw.Connection(445, *sys.argv[1:3], host=address,
                                   guid=self.guid)
        self.tid = self.conn.tree(share)
        return 0

    def _create(self, name, context, disposition):
        reply = self.conn.call(raw.CREATE, self.tid, raw.create_body(
            name, disposition=disposition, context=context))
        if reply.status == 0:
            self.handle = raw.file_id(reply)
        return reply.status

    def open(self, name):
        """Make the handle."""
        return self._create(name, raw.persistent_context(self.create_guid), 3)

    def reconnect(self, name):
        """Come back for it."""
        return self._create(name, raw.reconnect_context(
            self.handle, self.create_guid), 1)


def main():
    """One line after the other."""
    client, verbs = Client(), ("connect", "open", "reconnect")
    for line in sys.stdin:
        verb, *args = json.loads(line)
        assert verb in verbs
        print(json.dumps(getattr(client, verb)(*args)), flush=True)


if __name__ == "__main__":
    main()
