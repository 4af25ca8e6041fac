# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that connects, is sent elsewhere, and follows."""

import ipaddress
import pathlib
import struct

from .script import Script

SCRIPT = pathlib.Path(__file__).with_name("raw_connect.py")
BAD_NETWORK_NAME = 0xC00000CC
CLUSTER_RECONNECT, REDIRECT_TO_OWNER = 1, 2
CONTINUOUS, CLUSTER, ASYMMETRIC, TO_OWNER = 0x10, 0x40, 0x80, 0x100


class Connects(Script):
    """``with Connects(client) as c: c.to(address, "vms", flags=2)``."""

    def __init__(self, client, user="alice"):
        super().__init__(client, SCRIPT, user)

    def to(self, address, share, flags=REDIRECT_TO_OWNER, **more):
        """The answer to one TREE_CONNECT."""
        return self.ask({"address": address, "share": share, "flags": flags,
                         **more})


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


def bad_dialect_error(limit, dialect):
    """The same of a refusal with the highest dialect that is allowed, to a
    client with that dialect."""
    data = struct.pack("<H", limit)
    if dialect < 0x0311:
        return struct.pack("<HBBI", 9, 0, 0, len(data)) + data
    return struct.pack("<HBBIII", 9, 1, 0, 8 + len(data), len(data),
                       0) + data


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
