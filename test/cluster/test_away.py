# SPDX-License-Identifier: GPL-3.0-or-later
"""A node is cut off, the others go on without it, and it comes back with what
it knew: the others' handles are what they were, and its own clients go."""

import re

from bed import faults, proc
from drive import Witness
from drive.handles import Handles, raw
from drive.witness import public_address
from ca_server import SHARING_VIOLATION

FILES = 20
ROUNDS = 5
VACUUMED_S = 60             # ctdb vacuums every 10 s
GONE_S = 20


def inodes(volume, files):
    """Their numbers, as the owner's file system has them."""
    paths = [f"{volume.path}/ca/{file.name}" for file in files]
    return [int(number) for number in volume.owner().run(
        "stat", "-c", "%i", *paths).stdout.split()]


def locked_inodes(node):
    """The inode numbers of which the node's locking.tdb has a record, an
    empty one, too: tdbdump(8) writes the key as text with \\XX."""
    dump = node.run("tdbdump", node.database("locking.tdb")).stdout
    keys = (re.sub(rb"\\([0-9A-F]{2})", lambda m: bytes.fromhex(m[1].decode()),
                   key.encode("latin-1"))
            for key in re.findall(r'^key\(24\) = "(.*)"$', dump, re.M))
    return {int.from_bytes(key[8:16], "little") for key in keys}


def test_it_brings_no_old_records(bed, volume, share):
    """Files are deleted and vacuumed while it is away, new ones have their
    inode numbers: what it still has of the old ones replaces nothing. (Patch
    0032: without, the handles are unknown at CLOSE, and nothing keeps others
    out.)"""
    one, two, three = bed.nodes
    client = Handles(bed.client, two, share)
    other = Handles(bed.clients[1], one, share)

    def opened(name):
        return [client.open(f"{name}{number}", share=0)
                for number in range(FILES)]

    for _ in range(ROUNDS):         # each makes the records' RSN higher
        for file in opened("old"):
            file.close()
    old = opened("old")
    numbers = inodes(volume, old)
    assert set(numbers) <= locked_inodes(three)
    faults.silence(three)
    bed.wait_healthy([one, two])
    for file in old:
        file.close()
    one.run("sh", "-c", f"rm {volume.path}/ca/old*")
    proc.wait_until("the records are vacuumed", lambda: not any(
        set(numbers) & locked_inodes(node) for node in (one, two)),
                    VACUUMED_S, 0.5)
    new = opened("new")
    assert len(set(numbers) & set(inodes(volume, new))) >= FILES // 2
    faults.join(bed)
    bed.wait_healthy()
    for file in new:
        assert other.call(raw.CREATE, raw.create_body(
            file.name, disposition=1)).status == SHARING_VIOLATION
        file.write(0, b"mine")
        file.close()
        other.open(file.name, False).close()
    volume.check(one)


def test_its_clients_go(bed, volume, share):
    """What the others gave away meanwhile nobody there has: its smbds end, and
    who is registered with its witness registers elsewhere. (Patches 0032 and
    0033.)"""
    one, two, three = bed.nodes
    inside = Handles(bed.client, three, share)
    inside.open("file", False, share=0)
    with Witness(bed.client) as witness:
        witness.register(three.address, public_address(one), share)
        witness.begin()
        faults.partition(bed, [three], [one, two])
        bed.wait_healthy([one, two])
        taken = Handles(bed.clients[1], two, share).open("file", share=0)
        faults.join(bed)
        bed.wait_healthy()
        inside.conn.sock.settimeout(GONE_S)
        assert inside.conn.sock.recv(1) == b""
        assert witness.end(GONE_S)["status"] != 0
    taken.write(0, b"mine")
    taken.close()
    again = Handles(bed.client, three, share)
    again.open("file", False, share=0).close()
    volume.check(one)
