# SPDX-License-Identifier: GPL-3.0-or-later
"""A control to a node's ctdbd as its recovery daemon sends them; the `ctdb`
tool has no command for these (ctdb/protocol/protocol.h of Samba)."""

import socket
import struct

MAGIC, PROTOCOL = 0x43544442, 1
REQ_CONTROL, REPLY_CONTROL = 7, 8
CURRENT_NODE = 0xF0000001
SET_RECMODE = 16
RECOVERY_NORMAL, RECOVERY_ACTIVE = 0, 1

HEADER = struct.Struct("=8I")   # length .. reqid
REQUEST = struct.Struct("=IIQIII")
REPLY = struct.Struct("=iII")


def _packet(opcode, data):
    """What is sent: header, request, data."""
    body = REQUEST.pack(opcode, 0, 0, 0, 0, len(data)) + data
    return HEADER.pack(HEADER.size + len(body), MAGIC, PROTOCOL, 0,
                       REQ_CONTROL, CURRENT_NODE, 0, 1) + body


def _exactly(sock, length):
    """So many bytes."""
    data = b""
    while len(data) < length:
        more = sock.recv(length - len(data))
        assert more, "ctdbd closed the connection"
        data += more
    return data


def control(path, opcode, data, timeout=10):
    """The control's status, from the ctdbd whose socket is at path."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(_packet(opcode, data))
        header = HEADER.unpack(_exactly(sock, HEADER.size))
        assert header[1] == MAGIC and header[4] == REPLY_CONTROL, header
        rest = _exactly(sock, header[0] - HEADER.size)
    return REPLY.unpack_from(rest)[0]


def set_recmode(path, mode):
    """A recovery's begin, or its end, as a node's ctdbd hears of it; the end
    also thaws."""
    return control(path, SET_RECMODE, struct.pack("=I", mode))
