# SPDX-License-Identifier: GPL-3.0-or-later
"""Creates whose answer was lost, of streams, of files that were renamed."""
import os
import signal

import pytest

import smb2raw as raw
from ca_server import Client, is_persistent, persistent_create


def test_replay_of_what_never_came(server):
    """The node died before it had read the CREATE: it is a first one."""
    client = Client(server)
    body, guid = persistent_create("file", disposition=2)
    reply = client.call(raw.CREATE, body, extra=raw.REPLAY)
    assert is_persistent(reply)
    again = client.call(raw.CREATE, body, extra=raw.REPLAY)
    assert is_persistent(again)
    assert raw.file_id(again) == raw.file_id(reply)
    assert raw.create_contexts(again) == raw.create_contexts(reply)
    body, _ = persistent_create("other", guid)
    assert client.call(raw.CREATE, body).status != 0


def test_replay_of_what_smbd_died_over(server):
    """It waited for another client, who may still let go."""
    holder = Client(server, "plain").open("file", False,
                                          oplock=raw.OPLOCK_BATCH)
    client = Client(server)
    body, _ = persistent_create("file")
    client.conn.wait(client.conn.send((raw.CREATE, client.tid, body))[0],
                     pending=True)
    client.crash()
    client.connect()
    mid = client.conn.send((raw.CREATE, client.tid, body),
                           extra=raw.REPLAY)[0]
    client.conn.wait(mid, pending=True)
    holder.close()
    assert is_persistent(client.conn.wait(mid))


def test_replay_of_what_was_done(server):
    """The answer was lost with smbd: the same handle."""
    client, other = Client(server), Client(server)
    body, _ = persistent_create("file", share=0)
    reply = client.ok(raw.CREATE, body)
    client.crash()
    client.connect()
    again = client.call(raw.CREATE, body, extra=raw.REPLAY)
    assert is_persistent(again)
    assert raw.file_id(again)[:8] == raw.file_id(reply)[:8]
    client.ok(raw.CLOSE, raw.close_body(raw.file_id(again)))
    other.open("file", False)


def test_stream_is_not_persistent(server):
    """Its client is told so, and nobody waits for the handle when it is
    lost, not even until smbd cleans up."""
    client, other = Client(server), Client(server)
    body, _ = persistent_create("file:stream", share=0)
    reply = client.call(raw.CREATE, body)
    assert not is_persistent(reply)
    client.ok(raw.WRITE, raw.write_body(raw.file_id(reply), 0, b"data"))
    cleaners = server.children("cleanupd")
    assert cleaners
    for pid in cleaners:
        os.kill(pid, signal.SIGSTOP)
    try:
        client.crash()
        back = other.open("file:stream", False, share=0)
    finally:
        for pid in cleaners:
            os.kill(pid, signal.SIGCONT)
    assert raw.read_data(other.ok(raw.READ, raw.read_body(
        back.handle, 0, 10))) == b"data"
    back.close()
    other.open("file", False)


@pytest.mark.parametrize("connected", [True, False])
def test_renamed_file_is_found(server, connected):
    """Before its client is lost or after, also when there is another file of
    its old name; closed, it leaves nothing behind."""
    (server.share / "folder").mkdir()
    file, other = Client(server).open("old"), Client(server).open("old", False)
    file.write(0, b"mine")
    if not connected:
        file.client.crash()
    other.client.ok(raw.SET_INFO, raw.rename_body(
        other.handle, "folder\\new"))
    other.client.open("old", False).close()
    if connected:
        file.client.crash()
    file.client.connect()
    assert file.try_reconnect() == 0
    file.write(4, b" too")
    assert (server.share / "folder/new").read_bytes() == b"mine too"
    assert (server.share / "old").read_bytes() == b""
    file.client.ok(raw.SET_INFO, raw.rename_body(file.handle, "third"))
    file.come_back()
    file.close()
    other.close()
    assert server.open_files() == {}
    assert (server.share / "third").read_bytes() == b"mine too"
