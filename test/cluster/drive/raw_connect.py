# SPDX-License-Identifier: GPL-3.0-or-later
"""Tree connects with flags, each on a connection of its own, told by JSON
lines: {"address", "share", "flags"} and {"dialect"}.

argv: user password.  A line out: {"status", "capabilities", "error": the
whole error in hexadecimal, "ms"}.
"""

import json
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "park"))

import smb2raw  # noqa: E402  pylint: disable=wrong-import-position


def tree_connect(address, share, flags, dialect=0x0311):
    """One attempt."""
    path = f"\\\\SOFS\\{share}".encode("utf-16-le")
    began = time.monotonic()
    conn = smb2raw.Connection(445, *sys.argv[1:3], host=address,
                              dialect=dialect)
    mid = conn.send((smb2raw.TREE_CONNECT, 0, struct.pack(
        "<HHHH", 9, flags, 72, len(path)) + path))[0]
    reply = conn.wait(mid, 60)
    conn.close()
    answer = {"status": reply.status, "capabilities": 0, "error": "",
              "ms": round((time.monotonic() - began) * 1000)}
    if reply.status == 0:
        answer["capabilities"] = struct.unpack_from("<I", reply.body, 8)[0]
    else:
        answer["error"] = reply.body.hex()
    return answer


def main():
    """One line after the other."""
    for line in sys.stdin:
        print(json.dumps(tree_connect(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
