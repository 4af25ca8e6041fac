# SPDX-License-Identifier: GPL-3.0-or-later
"""Creates that are repeated because smbd died while it was doing them: the
client has the answer that the first one would have had."""
import os
import struct

import pytest

import smb2raw as raw
from ca_server import COLLISION, Client, is_persistent, persistent_create

SUPERSEDE, CREATE, OPEN_IF, OVERWRITE_IF = 0, 2, 3, 5
CREATED = 2
DIRECTORY = 1   # create options
READ_ONLY = 1   # attributes
MADE = "security.sofs.create"
FILE_POINTS = ("before", "marked", "opened", "stored")
FOLDER_POINTS = ("before", "made", "marked", "named", "opened", "stored")


def what(kind, name="it", guid=None, **kwargs):
    """The CREATE's body: of a read-only file that is open for writing, which
    nobody could open so, or of a directory."""
    if kind == "folder":
        kwargs["options"] = DIRECTORY
    else:
        kwargs["attributes"] = READ_ONLY
    kwargs.setdefault("disposition", CREATE)
    return persistent_create(name, guid, share=0, **kwargs)[0]


def replay(client, body):
    """The CREATE once more."""
    return client.call(raw.CREATE, body, extra=raw.REPLAY)


def as_made(server, name, reply):
    """What there is to see of a file, or was of its CREATE."""
    path = server.share / name
    return (path.stat().st_mode, sorted(os.listxattr(path)),
            raw.create_action(reply), raw.create_attributes(reply),
            is_persistent(reply))


def has_its_answer(server, model, kind, point, disposition):
    """Its smbd dies at the point; the replay makes what the model is, and the
    client's it is."""
    client, other = Client(server), Client(server)
    body = what(kind, point, disposition=disposition)
    server.die(client, point, body)
    reply = replay(client, body)
    assert reply.status == 0, (point, hex(reply.status))
    assert as_made(server, point, reply) == model, point
    assert other.call(raw.CREATE, what(kind, point)).status == COLLISION
    if kind == "file":
        client.ok(raw.WRITE, raw.write_body(raw.file_id(reply), 0, b"mine"))
        assert (server.share / point).read_bytes() == b"mine"
    client.crash()
    client.connect()
    again = replay(client, body)
    assert raw.file_id(again)[:8] == raw.file_id(reply)[:8]
    assert raw.create_action(again) == CREATED
    client.ok(raw.CLOSE, raw.close_body(raw.file_id(again)))
    other.conn.close()
    client.conn.close()


@pytest.mark.parametrize("kind, points, disposition", [
    *(("file", FILE_POINTS, disposition)
      for disposition in (CREATE, OPEN_IF, OVERWRITE_IF, SUPERSEDE)),
    *(("folder", FOLDER_POINTS, disposition)
      for disposition in (CREATE, OPEN_IF))])
def test_has_its_answer(dying_server, kind, points, disposition):
    """Wherever its smbd died; and what is made is whole, and no more."""
    server, one = dying_server, Client(dying_server)
    reply = one.ok(raw.CREATE, what(kind, "model", disposition=disposition))
    model = as_made(server, "model", reply)
    assert raw.create_action(reply) == CREATED
    for point in points:
        has_its_answer(server, model, kind, point, disposition)
    one.ok(raw.CLOSE, raw.close_body(raw.file_id(reply)))
    assert server.open_files() == {}
    assert {path.name for path in server.share.iterdir()
            if ":TMPNAME:" not in path.name} == {"model", *points}


def test_dies_again(dying_server):
    """And again: the first open is no more in the way than the second."""
    client, body = Client(dying_server), what("file")
    for point in ("marked", "opened", "opened"):
        dying_server.die(client, point, body)
        # The replay is what dies from here on.
        client_send = client.conn.send
        client.conn.send = lambda *args, send=client_send: send(
            *args, extra=raw.REPLAY)
    reply = client.call(raw.CREATE, body)
    assert is_persistent(reply)
    assert raw.create_action(reply) == CREATED


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_others_file_is_a_collision(dying_server, kind):
    """Made by another client before the CREATE was repeated, also in the
    place of the one that the CREATE had made."""
    server, client, other = (dying_server, Client(dying_server),
                             Client(dying_server))
    body = what(kind)
    server.die(client, "before", body)
    theirs = other.ok(raw.CREATE, what(kind))
    assert replay(client, body).status == COLLISION
    other.ok(raw.CLOSE, raw.close_body(raw.file_id(theirs)))
    assert replay(client, body).status == COLLISION

    body = what(kind, "second")
    server.die(client, "marked" if kind == "file" else "named", body)
    (server.share / "second").rename(server.share / "third")
    other.ok(raw.CREATE, what(kind, "second"))
    assert replay(client, body).status == COLLISION


def test_same_create_only(dying_server):
    """Not another CREATE of the client, not a first one, not another
    client's or user's, not one that is old; not of a directory for a file;
    not if the file is not his any more."""
    server, client, guid = dying_server, Client(dying_server), os.urandom(16)
    path, body = server.share / "it", what("file", guid=guid)
    server.die(client, "marked", body)
    assert client.call(raw.CREATE, body).status == COLLISION
    assert replay(client, what("file")).status == COLLISION
    assert replay(Client(server), body).status == COLLISION
    assert replay(client, what("folder", guid=guid)).status == COLLISION
    them = Client(server)
    them.guid = client.guid
    them.conn.close()
    them.conn = raw.Connection(server.port, "root", "secret",
                               guid=client.guid)
    them.tid = them.conn.tree("ca")
    assert replay(them, body).status == COLLISION
    them.conn.close()

    mark = os.getxattr(path, MADE)
    when = struct.unpack_from("<q", mark, 8)[0]
    for wrong in (when - 3600, when + 3600, -1 << 63):
        os.setxattr(path, MADE, mark[:8] + struct.pack("<q", wrong)
                    + mark[16:])
        assert replay(client, body).status == COLLISION
    for wrong in (mark[:-1], mark + b"\0", b"\2" + mark[1:], b""):
        os.setxattr(path, MADE, wrong)
        assert replay(client, body).status == COLLISION
    os.setxattr(path, MADE, mark)
    user = path.stat().st_uid
    os.chown(path, 0, 0)
    assert replay(client, body).status == COLLISION
    os.chown(path, user, 0)
    assert raw.create_action(client.ok(
        raw.CREATE, body, extra=raw.REPLAY)) == CREATED


def test_nobodys_data_is_lost(dying_server):
    """Who opened the file in between and wrote to it finds that there."""
    client, other = Client(dying_server), Client(dying_server)
    body, _ = persistent_create("it", disposition=OVERWRITE_IF)
    dying_server.die(client, "marked", body)
    file = other.open("it", False)
    file.write(0, b"theirs")
    reply = replay(client, body)
    assert raw.create_action(reply) == CREATED
    assert (dying_server.share / "it").read_bytes() == b"theirs"
    assert other.call(raw.CREATE, what("file")).status == COLLISION


def test_who_did_not_ask_for_it(dying_server):
    """Without a CreateGuid nothing is kept with the file."""
    Client(dying_server).open("it", False)
    assert MADE not in os.listxattr(dying_server.share / "it")


@pytest.mark.parametrize("share, kind, point", [
    ("ca", "file", "made"), ("without", "file", "made"),
    ("without", "file", "opened"), ("without", "folder", "named")])
def test_what_is_not_promised(dying_server, share, kind, point):
    """A file whose smbd died between making it and saying who made it; and
    whatever is made without vfs_ca."""
    client, body = Client(dying_server, share), what(kind)
    dying_server.die(client, point, body)
    assert replay(client, body).status == COLLISION
