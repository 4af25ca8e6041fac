# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent handles whose node died, when more changes than the node: of
directories, and on a volume that has another owner by then. In soak: each
death takes a quarter of a minute."""

import pytest

from bed import checks
from drive.handles import Handles, come_back, raw
from ca_server import FILE_NOT_AVAILABLE, LOCK_CONFLICT, NOT_GRANTED
from test_ca import BLOCKS, UNLOCK, die, overwrite, rejoin

pytestmark = pytest.mark.soak("minutes")
DIRECTORY = 1   # FILE_DIRECTORY_FILE


def names_in(folder):
    """What a listing through this handle says."""
    body = folder.client.ok(raw.QUERY_DIRECTORY, raw.query_directory_body(
        folder.handle)).body
    return body.decode("utf-16-le", "replace")


def test_directory(bed, volume, share):
    """It is kept from others, on any node, while its node is dead; then it is
    found on another one, lists, and is free when it is closed."""
    bed.client.smbclient(bed.node(1).address, share,
                         "mkdir dir; put /etc/hostname dir\\within")
    folder = Handles(bed.client, bed.node(2), share).open(
        "dir", options=DIRECTORY, share=0)
    others = [Handles(bed.clients[1], bed.node(n), share) for n in (1, 3)]
    die(bed, bed.node(2))
    for other in others:
        assert other.call(raw.CREATE, raw.create_body(
            "dir", options=DIRECTORY)).status == FILE_NOT_AVAILABLE
    come_back(folder, bed.node(3))
    assert "within" in names_in(folder)
    folder.close()
    for other in others:
        other.open("dir", False, options=DIRECTORY).close()
    rejoin(bed, volume, bed.node(2))


@pytest.mark.parametrize("back_at", [3, 1])
def test_owner_changes_in_between(bed, volume, share, back_at):
    """The volume moves to node3 while the handle waits, which then comes back
    there, where it is direct now, or through the old owner, where it is
    redirected: with its locks, a LOCK repeated is done once, and what is
    written is on the disk when it is answered."""
    file = Handles(bed.client, bed.node(2), share).open("file")
    other = Handles(bed.clients[1], bed.node(1), share).open("file", False)
    overwrite(file)
    assert file.lock(0, 10, sequence=0x11) == 0
    die(bed, bed.node(2))
    volume.move(bed.node(3))
    assert other.lock(0, 10) == NOT_GRANTED
    assert other.client.call(raw.WRITE, raw.write_body(
        other.handle, 0, b"theirs")).status == LOCK_CONFLICT
    come_back(file, bed.node(back_at))
    assert file.lock(0, 10, sequence=0x11) == 0
    assert other.lock(0, 10) == NOT_GRANTED
    with checks.Flushed(bed, "vol1", at_least=BLOCKS):
        overwrite(file)
    assert file.lock(0, 10, UNLOCK) == 0
    assert other.lock(0, 10) == 0
    rejoin(bed, volume, bed.node(2))
    file.close()
    other.close()
