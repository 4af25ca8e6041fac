# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches 0020 and 0021: what a TREE_CONNECT carries reaches a module's
connect_fn, and the module's answer reaches the client.

On an smbd without the first all of these fail, without the second those of
the error data.
"""
import itertools
import os
import struct

import pytest
import smb2raw as raw

INVALID, BAD_NAME, DENIED = 0xC000000D, 0xC00000CC, 0xC0000022
RECONNECT, REDIRECT, EXTENSION = 1, 2, 4
RESERVED, IDENTITY, ANNOUNCE, FAIL, WAIT, FAIL_NOT, FAIL_DATA = (
    0, 1, 0x7F01, 0x7F02, 0x7F03, 0x7F04, 0x7F05)
ASYMMETRIC, TO_OWNER = 0x80, 0x100
ERROR_ID = 0x72645253


def pack(*contexts):
    """Tree connect contexts of (type, data), the last one not padded."""
    out = b""
    for kind, data in contexts:
        out += b"\0" * (-len(out) % 8)
        out += struct.pack("<HHI", kind, len(data), 0) + data
    return out


def path_of(share="tested"):
    """In UTF-16"""
    return f"\\\\127.0.0.1\\{share}".encode("utf-16-le")


def body(*contexts, flags=0, share="tested", **changed):
    """A TREE_CONNECT as Windows lays it out; "changed" are its numbers."""
    path, packed = path_of(share), pack(*contexts)
    pad = -len(path) % 8
    numbers = {"path_offset": 88, "path_length": len(path),
               "offset": 88 + len(path) + pad, "count": len(contexts),
               **changed}
    return struct.pack(
        "<HHHHIH10x", 9, EXTENSION | flags, numbers["path_offset"],
        numbers["path_length"], numbers["offset"],
        numbers["count"]) + path + b"\0" * pad + packed


def fnv(data):
    """As the module calculates it."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


class Client:
    """A connection whose module's log lines can be read."""

    def __init__(self, server, **kwargs):
        self.server = server
        kwargs.setdefault("dialect", 0x0311)
        self.raw = server.connect(**kwargs)
        self.log = server.log_of(self.raw)

    def connect(self, request):
        """The answer to one TREE_CONNECT."""
        return self.raw.call(raw.TREE_CONNECT, 0, request)

    def seen(self, request):
        """What the module saw of a TREE_CONNECT that succeeds: its flags and
        its contexts as (type, length, hash); and again at its end."""
        before = len(self.lines())
        reply = self.connect(request)
        assert reply.status == 0, hex(reply.status)
        first = self.lines()[before:]
        assert self.raw.call(raw.TREE_DISCONNECT, reply.tid,
                             raw.simple_body()).status == 0
        assert self.lines()[before + len(first):] == first
        assert first[0][0] == "TCON"
        return int(first[0][1], 16), [
            (int(kind, 16), int(length), int(value, 16))
            for _, kind, _, length, value in first[1:]]

    def lines(self):
        """The module's lines, in words, without what smbd puts before."""
        found = []
        text = self.log.read_text(errors="replace") \
            if self.log.exists() else ""
        for line in text.splitlines():
            for word in ("TCON ", "CONTEXT "):
                if word in line:
                    found.append((word + line.partition(word)[2]).split())
        return found


@pytest.fixture(params=["signed", "encrypted"])
def client(server, request):
    """Both ways to protect what 3.1.1 wants protected."""
    one = Client(server, encrypt=request.param == "encrypted")
    yield one
    assert one.raw.echo() < 1
    one.raw.close()


def test_contexts_arrive(client):
    """Flags and contexts, known and unknown ones, in their order."""
    datas = [os.urandom(size) for size in (28, 0, 1, 7, 8, 9, 65535)]
    contexts = []
    for data in datas:
        contexts += [(IDENTITY, data), (RESERVED, b"xyz"), (0x6666, data)]
    flags, seen = client.seen(body(*contexts, flags=RECONNECT | REDIRECT))
    assert flags == RECONNECT | REDIRECT | EXTENSION
    assert seen == [(IDENTITY, len(data), fnv(data)) for data in datas]
    assert client.seen(body(flags=REDIRECT)) == (REDIRECT | EXTENSION, [])
    assert client.seen(body(count=0, offset=7)) == (EXTENSION, [])
    plain = raw.tree_body("tested")
    assert client.seen(plain) == (0, [])
    assert client.seen(plain[:2] + b"\2\0" + plain[4:]) == (REDIRECT, [])


def test_64_kib_of_contexts(client):
    """As one, as 8192 empty ones; 256 KiB at most, nothing else."""
    data = os.urandom(65535)
    assert client.seen(body((IDENTITY, data)))[1] == [
        (IDENTITY, 65535, fnv(data))]
    assert client.seen(body(*[(0x6666, b"")] * 8191, (IDENTITY, b"")))[1] == [
        (IDENTITY, 0, fnv(b""))]
    many = [(0x6666, b"\0" * 8184)] * 32
    assert client.connect(body(*many)).status == 0
    assert client.connect(body(*many, (0x6666, b""))).status == INVALID


def test_any_place(client):
    """Contexts before the path, far behind it; a path with an odd offset."""
    path, packed = path_of(), pack((IDENTITY, b"12345"))
    want = [(IDENTITY, 5, fnv(b"12345"))]

    def layout(path_offset, offset, data):
        return client.seen(struct.pack(
            "<HHHHIH10x", 9, EXTENSION, path_offset, len(path), offset,
            1) + data)[1]

    size = len(packed)
    assert layout(88 + size, 88, packed + path) == want
    assert layout(91 + size, 88, packed + b"???" + path) == want
    assert layout(88, 4096, path + b"?" * (4008 - len(path)) + packed) == want
    assert layout(89, 4096, b"?" + path + b"?" * (4007 - len(path)) +
                  packed + b"?" * 100) == want


def test_truncated(client):
    """Every length short of the whole is refused, and nothing else."""
    whole = body((0x6666, b"first"), (IDENTITY, b"x" * 20))
    for size in range(24, len(whole)):
        assert client.connect(whole[:size]).status == INVALID, size
    for size in range(8, 24):
        assert client.connect(whole[:size]).status == INVALID, size
    assert client.connect(whole).status == 0


def test_ranges(client):
    """Overlapping, unaligned, outside: each is INVALID_PARAMETER."""
    one = (IDENTITY, b"x" * 20)
    behind = 88 + len(path_of()) + -len(path_of()) % 8
    end = 64 + len(body(one))
    bad = [{"offset": offset} for offset in (
        0, 8, 64, 72, 80, 88, 96, behind - 8, behind + 1, behind + 2,
        behind + 4, behind + 8, end - end % 8, end, 0x7FFFFFF8, 0x80000000,
        0xFFFFFFF8, 0xFFFFFFFF)]
    bad += [{"count": count} for count in (2, 3, 0x8000, 0xFFFF)]
    bad += [{"path_offset": offset} for offset in (
        0, 63, 64, 71, 72, 80, 87, behind - 2, behind, end - 1, end, 0xFFFF)]
    bad += [{"path_length": length} for length in (
        behind - 88 + 1, behind - 88 + 8, end, 0xFFFF)]
    for changed in bad:
        status = client.connect(body(one, **changed)).status
        assert status == INVALID, changed
    data_length = bytearray(body(one))
    for length in (21, 22, 0x7FFF, 0xFFFF):
        struct.pack_into("<H", data_length, behind - 64 + 2, length)
        assert client.connect(bytes(data_length)).status == INVALID, length
    # an empty path overlaps with nothing, but names no share
    assert client.connect(body(one, path_length=0)).status == BAD_NAME
    assert client.connect(body(one)).status == 0


def test_compounds(client):
    """First, last and in the middle of a compound; a CREATE follows."""
    data = os.urandom(1001)
    echo = (raw.ECHO, 0, raw.simple_body())
    tcon = (raw.TREE_CONNECT, 0, body((IDENTITY, data)))
    fail = (raw.TREE_CONNECT, 0, body(
        (FAIL, struct.pack("<II", BAD_NAME, ERROR_ID) + b"abc")))
    for chain in ((tcon, echo), (echo, tcon), (echo, tcon, echo, tcon)):
        before = len(client.lines())
        mids = client.raw.send(*chain, related=False)
        assert [client.raw.wait(mid).status for mid in mids] == [0] * len(mids)
        lines = client.lines()[before:]
        assert [words[-1] for words in lines if words[0] == "CONTEXT"] == [
            f"{fnv(data):08x}"] * chain.count(tcon)
    mids = client.raw.send(echo, fail, echo, fail, related=False)
    replies = [client.raw.wait(mid) for mid in mids]
    assert [reply.status for reply in replies] == [0, BAD_NAME, 0, BAD_NAME]
    for reply in (replies[1], replies[3]):
        check_error(reply, b"abc")
    mids = client.raw.send(tcon, (raw.CREATE, 0xFFFFFFFF,
                                  raw.create_body("chain")))
    assert [client.raw.wait(mid).status for mid in mids] == [0, 0]


def check_error(reply, data, error_id=ERROR_ID):
    """An error with one context, which is all there is of the answer."""
    size, count, _, length = struct.unpack_from("<HBBI", reply.body)
    assert (size, count, length) == (9, 1, 8 + len(data))
    assert reply.body[8:8 + length] == struct.pack("<II", len(data),
                                                   error_id) + data
    assert len(reply.body) - 8 - length in range(8)


@pytest.mark.parametrize("size", [0, 1, 8, 123, 65000])
def test_error_context(client, size):
    """A module fails the connect with any status and data."""
    data = os.urandom(size)
    for status in (BAD_NAME, DENIED, 0xC0000001):
        check_error(client.connect(body(
            (FAIL, struct.pack("<II", status, ERROR_ID) + data))), data)
    reply = client.connect(body((FAIL, struct.pack("<II", DENIED, 0) + data)))
    assert reply.status == DENIED
    assert reply.body == struct.pack("<HBBIB", 9, 0, 0, 0, 0)


@pytest.mark.parametrize("size", [1, 2, 8, 123, 65000])
def test_error_data(client, size):
    """Patch 0021: the data of a status, in a context with the default id;
    without data or a status it is no failure."""
    data = os.urandom(size)
    for status in (0xC05D0001, DENIED):
        check_error(client.connect(body(
            (FAIL_DATA, struct.pack("<I", status) + data))), data, 0)
    for wrong in (struct.pack("<I", 0) + data, struct.pack("<I", DENIED)):
        assert client.connect(body((FAIL_DATA, wrong))).status == 0


@pytest.mark.parametrize("dialect", [0x0302, 0x0311])
@pytest.mark.parametrize("encrypt", [False, True])
def test_error_data_by_dialect(server, dialect, encrypt):
    """Below 3.1.1 there are no contexts: the data itself."""
    client = Client(server, dialect=dialect, encrypt=encrypt)
    for _ in range(2):
        reply = client.connect(raw.tree_body("data"))
        assert reply.status == DENIED
        if dialect == 0x0311:
            check_error(reply, b"0123456789", 0)
            continue
        assert reply.body[:18] == struct.pack(
            "<HBBI", 9, 0, 0, 10) + b"0123456789"
        assert len(reply.body) - 18 in range(8)
    assert client.raw.echo() < 1


def test_no_failure(client):
    """Not an error: smbd ignores it; a connect that succeeded all the same."""
    for status in (0, 0x103, 0x80000005):
        assert client.connect(body(
            (FAIL, struct.pack("<II", status, ERROR_ID)))).status == 0
    reply = client.connect(body(
        (FAIL_NOT, struct.pack("<II", DENIED, ERROR_ID))))
    assert reply.status == 0


def test_waits_then_fails(client):
    """It takes its time, other requests go on, then the error context."""
    late = (WAIT, struct.pack("<I", 1500))
    mid = client.raw.send((raw.TREE_CONNECT, 0, body(
        late, (FAIL, struct.pack("<II", BAD_NAME, ERROR_ID) + b"late"))))[0]
    for _ in range(5):
        assert client.raw.echo() < 0.2
    assert client.raw.find(mid) is None
    other = client.connect(body())
    assert other.status == 0
    assert client.raw.find(mid) is None
    reply = client.raw.wait(mid)
    assert reply.status == BAD_NAME
    check_error(reply, b"late")
    assert client.connect(body(late)).status == 0


def answer(reply):
    """Share flags and capabilities."""
    assert reply.status == 0, hex(reply.status)
    return struct.unpack_from("<II", reply.body, 4)


def test_announced(client):
    """Bits are added to smbd's own; REDIRECT_TO_OWNER follows the rules."""
    flags, caps = answer(client.connect(body()))
    assert not caps & (ASYMMETRIC | TO_OWNER)

    def announced(add_flags, add_caps, asked=0):
        got = answer(client.connect(body(
            (ANNOUNCE, struct.pack("<II", add_flags, add_caps)),
            flags=asked)))
        assert (got[0] & flags, got[1] & caps) == (flags, caps)
        return got[0] & ~flags, got[1] & ~caps

    assert announced(0x40000, 0) == (0x40000, 0)
    assert announced(0, 0xD0) == (0, 0xD0 & ~caps)
    assert announced(0, TO_OWNER | ASYMMETRIC, REDIRECT) == (
        0, TO_OWNER | ASYMMETRIC)
    assert announced(0, TO_OWNER | ASYMMETRIC) == (0, ASYMMETRIC)
    assert announced(0, TO_OWNER, REDIRECT) == (0, 0)
    assert announced(0, 0xFFFF0000, REDIRECT) == (0, 0)


def test_announced_by_a_dfs_root(server):
    """smbd sets the capabilities of a DFS root; the module's stay."""
    client = Client(server)
    assert answer(client.connect(body(share="root")))[1] & 0x88 == 0x88


def test_every_byte_changed(server):
    """No answer but success or INVALID_PARAMETER, BAD_NETWORK_NAME and
    ILLEGAL_CHARACTER, whatever single byte is wrong; smbd goes on."""
    client = Client(server)
    whole = body((0x6666, b"first"), (IDENTITY, b"x" * 20))
    statuses = set()
    for place, value in itertools.product(
            range(2, len(whole)), (0x00, 0x01, 0x7F, 0x80, 0xFF)):
        changed = bytearray(whole)
        changed[place] = value
        reply = client.connect(bytes(changed))
        statuses.add(reply.status)
        if reply.status == 0:
            assert client.raw.call(raw.TREE_DISCONNECT, reply.tid,
                                   raw.simple_body()).status == 0
    assert {0, INVALID, BAD_NAME} <= statuses
    assert statuses <= {0, INVALID, BAD_NAME, 0xC0000161}


@pytest.mark.parametrize("encrypt", [False, True])
def test_older_dialect(server, encrypt):
    """SMB 3.0.2 has neither: no flags, no extension, a bare status, and
    nothing announced that it does not know."""
    client = Client(server, dialect=0x0302, encrypt=encrypt)
    plain = raw.tree_body("tested")
    assert client.seen(plain[:2] + b"\7\0" + plain[4:]) == (0, [])
    assert client.connect(body()).status == INVALID
    assert answer(client.connect(raw.tree_body("root")))[1] & 0x180 == 0x80


def test_unprotected_is_refused(server):
    """As before: neither signed nor encrypted gets no tcon, whatever it
    carries, and the module is not asked."""
    client = Client(server)
    before = len(client.lines())
    client.raw.sign_key = None
    client.raw.checking = False
    try:
        assert client.connect(body((IDENTITY, b"x"))).status == DENIED
    except (EOFError, ConnectionResetError):
        pass
    assert len(client.lines()) == before
