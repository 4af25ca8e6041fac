# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that connects, is sent elsewhere, and follows."""

import ipaddress
import json
import pathlib
import select
import struct
import subprocess

from bed.errors import BedError
from bed.samba import USERS

SCRIPT = pathlib.Path(__file__).with_name("raw_connect.py")
BAD_NETWORK_NAME = 0xC00000CC
REDIRECT_TO_OWNER = 2
CONTINUOUS, CLUSTER, ASYMMETRIC, TO_OWNER = 0x10, 0x40, 0x80, 0x100


class Connects:
    """``with Connects(client) as c: c.to(address, "vms", flags=2)``."""

    def __init__(self, client, user="alice"):
        prefix = client.bed.config["prefix"]
        self._child = client.popen(
            "env", f"PYTHONPATH={prefix}/lib/python3.11/site-packages",
            "/usr/bin/python3", "-B", SCRIPT, user, USERS[user][1],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1)

    def to(self, address, share, flags=REDIRECT_TO_OWNER, **more):
        """The answer to one TREE_CONNECT."""
        self._child.stdin.write(json.dumps(
            {"address": address, "share": share, "flags": flags, **more}) +
            "\n")
        if not select.select([self._child.stdout], [], [], 90)[0]:
            raise BedError(f"no answer from {address} within 90 s")
        line = self._child.stdout.readline()
        if not line:
            raise BedError("the connecting client ended")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()


def redirect_error(share, addresses):
    """What [MS-SMB2] 2.2.2 says the whole error looks like."""
    name = f"\\\\SOFS\\{share}".encode("utf-16-le")
    data = struct.pack("<IIIIHHI", 48, 3, 24 + 24 * len(addresses), len(name),
                       0, 0, len(addresses))
    for address in map(ipaddress.ip_address, addresses):
        data += struct.pack("<II16s", 1 if address.version == 4 else 2, 0,
                            address.packed)
    data += name
    return struct.pack("<HBBIII", 9, 1, 0, 8 + len(data), len(data),
                       0x72645253) + data


def redirect_addresses(answer):
    """Where an answer sends to, in its order."""
    assert answer["status"] == BAD_NETWORK_NAME, answer
    data = bytes.fromhex(answer["error"])[16:]
    count = struct.unpack_from("<I", data, 20)[0]
    found = []
    for number in range(count):
        kind, _, raw = struct.unpack_from("<II16s", data, 24 + 24 * number)
        found.append(str(ipaddress.ip_address(raw[:4] if kind == 1 else raw)))
    return found
