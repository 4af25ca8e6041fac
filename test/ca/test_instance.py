# SPDX-License-Identifier: GPL-3.0-or-later
"""AppInstanceId: a virtual machine that was started on another host has its
disk at once, whatever became of the client that had it."""
import os
import signal

import pytest

import smb2raw as raw
from ca_server import (Client, FILE_CLOSED, FILE_NOT_AVAILABLE, NAME_NOT_FOUND,
                       SHARING_VIOLATION, instance_create, is_persistent)
from park_server import until

FORCED_CLOSED = 0xC00000B6


def take(client, instance, name="disk", version=None):
    """The answer to such a CREATE."""
    return client.call(raw.CREATE, instance_create(name, instance, version))


def leave(client, how):
    """What becomes of the first one."""
    if how == "crashed":
        client.crash()
    elif how == "gone":
        client.conn.close()
        until(lambda: not client.children & client.server.children())


@pytest.mark.parametrize("how", ["connected", "gone", "crashed"])
def test_second_client_has_it(server, how):
    """At once; nothing is left of the first one's open."""
    instance, one, two = os.urandom(16), Client(server), Client(server)
    guid = os.urandom(16)
    first = one.ok(raw.CREATE, instance_create("disk", instance, guid=guid))
    assert is_persistent(first)
    assert one.call(raw.LOCK, raw.lock_body(
        raw.file_id(first), 0, 10, 0x12)).status == 0
    leave(one, how)
    second = take(two, instance)
    assert is_persistent(second)
    assert two.call(raw.LOCK, raw.lock_body(
        raw.file_id(second), 0, 10, 0x12)).status == 0
    if how == "connected":
        assert one.call(raw.WRITE, raw.write_body(
            raw.file_id(first), 0, b"late")).status == FILE_CLOSED
    else:
        one.connect()
    assert one.call(raw.CREATE, raw.create_body(
        "disk", context=raw.reconnect_context(
            raw.file_id(first), guid))).status == NAME_NOT_FOUND
    two.ok(raw.CLOSE, raw.close_body(raw.file_id(second)))
    assert server.open_files() == {}


def test_nobody_else_has_it(server):
    """Not another instance, not the same client, not another file's open."""
    instance, one, two = os.urandom(16), Client(server), Client(server)
    assert is_persistent(take(one, instance))
    assert is_persistent(take(one, instance, "other"))
    assert take(one, instance).status == SHARING_VIOLATION
    assert take(two, os.urandom(16)).status == SHARING_VIOLATION
    assert take(two, b"\0" * 16).status == SHARING_VIOLATION
    assert two.call(raw.CREATE, raw.create_body(
        "disk", share=0)).status == SHARING_VIOLATION
    assert is_persistent(take(two, instance))
    assert take(Client(server), os.urandom(16),
                "other").status == SHARING_VIOLATION
    one.crash()
    assert take(two, os.urandom(16), "other").status == FILE_NOT_AVAILABLE
    assert is_persistent(take(two, instance, "other"))


def test_newer_version_only(server):
    """An older one is told so, and the newer one keeps its open."""
    instance, clients = os.urandom(16), [Client(server) for _ in range(4)]
    assert is_persistent(take(clients[0], instance, version=(1, 5)))
    for version in ((1, 5), (1, 4), (0, 6), None):
        assert take(clients[1], instance,
                    version=version).status == FORCED_CLOSED, version
    assert is_persistent(take(clients[2], instance, version=(1, 6)))
    assert is_persistent(take(clients[3], instance, version=(2, 0)))


def test_stuck_smbd_is_not_overtaken(server):
    """The first one's smbd does not answer: its open stays."""
    instance, one, two = os.urandom(16), Client(server), Client(server)
    first = take(one, instance)
    assert is_persistent(first)
    for pid in one.children:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert take(two, instance).status == SHARING_VIOLATION
    finally:
        for pid in one.children:
            os.kill(pid, signal.SIGCONT)
    until(lambda: one.call(raw.WRITE, raw.write_body(
        raw.file_id(first), 0, b"late")).status == FILE_CLOSED)
    assert is_persistent(take(two, instance))
