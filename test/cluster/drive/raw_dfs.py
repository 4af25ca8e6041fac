# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that asks for DFS referrals: [address, path, level] in; out: the
NT status, and if it is 0 what [MS-DFSC] 2.2.4 has: path_consumed, flags, and
of each entry version, server_type, ttl, path and target.

argv: user password.
"""

import json
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "park"))

import smb2raw as raw  # noqa: E402  pylint: disable=wrong-import-position

GET_REFERRALS = 0x60194


def text_at(data, offset):
    """A string that ends with a NUL."""
    end = offset
    while data[end:end + 2] != b"\0\0":
        end += 2
    return data[offset:end].decode("utf-16-le")


def entry(data, at):
    """One referral, and where the next one is."""
    version, size, kind, _ = struct.unpack_from("<4H", data, at)
    assert version in (2, 3) and size == {2: 22, 3: 34}[version]
    where = at + 8 + (4 if version == 2 else 0)
    ttl, path, alternate, target = struct.unpack_from("<I3H", data, where)
    assert text_at(data, at + path) == text_at(data, at + alternate)
    return at + size, {"version": version, "server_type": kind, "ttl": ttl,
                       "path": text_at(data, at + path),
                       "target": text_at(data, at + target)}


def referral(data):
    """All of an answer."""
    consumed, number, flags = struct.unpack_from("<HHI", data)
    at, entries = 8, []
    for _ in range(number):
        at, one = entry(data, at)
        entries.append(one)
    return {"path_consumed": consumed, "flags": flags, "entries": entries}


def main():
    """One question after the other, each on a connection of its own."""
    for line in sys.stdin:
        address, path, level = json.loads(line)
        conn = raw.Connection(445, *sys.argv[1:3], host=address)
        reply = conn.call(raw.IOCTL, conn.tree("IPC$"), raw.fsctl_body(
            b"\xff" * 16, GET_REFERRALS, struct.pack("<H", level)
            + path.encode("utf-16-le") + b"\0\0"))
        answer = {"status": reply.status}
        if reply.status == 0:
            answer.update(referral(raw.fsctl_data(reply)))
        conn.close()
        print(json.dumps(answer), flush=True)


main()
