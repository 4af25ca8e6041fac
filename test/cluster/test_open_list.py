# SPDX-License-Identifier: GPL-3.0-or-later
"""sofs open list: every node tells who has which persistent handle."""

import datetime
import json
import os
import pathlib
import random

from bed import faults, proc
from drive.handles import Handles, come_back
from test_ca import die, rejoin

DAMAGES = 30
ASKED_S = 60


def listed(node, *options):
    """What the tool says there, whole."""
    done = node.run("sofs", "open", "list", "--json", *options, timeout=10)
    found = json.loads(done.stdout)
    assert found["damaged"] == 0
    return found["opens"]


def said(node, *options):
    """What it says of the share "ca", by path: an earlier test on this bed
    may have left a disconnected handle elsewhere."""
    return {one["path"]: one for one in listed(node, *options)
            if one["path"].startswith("/csv/vol1/ca/")}


def seconds_of(text):
    """Of a time in JSON."""
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp()


def database(node):
    """Where a node has its copy, as seen from outside."""
    return pathlib.Path(node.root + node.database("smbXsrv_open_global.tdb"))


def test_every_node_tells(bed, volume, share):
    """Connected, lost, connected again, disconnected, closed; smbd, stopped,
    is not asked."""
    file = Handles(bed.client, bed.node(2), share).open(
        "seen", timeout=ASKED_S * 1000)
    Handles(bed.clients[1], bed.node(1), share).open("other", False)
    path = f"{volume.path}/ca/seen"
    one = said(bed.node(3))[path]
    assert one.items() >= {
        "volume": "vol1", "share": "ca", "client": bed.client.address,
        "dialect": "3.0.2", "state": "connected", "node": bed.node(2).pnn,
        "until": None, "timeout_s": ASKED_S}.items()
    stopped = faults.stop_smbd(bed.node(3))
    assert stopped
    assert said(bed.node(3)) == {path: one}
    faults.continue_smbd(bed.node(3))
    assert " connected " in bed.node(1).run("sofs", "open", "list").stdout
    die(bed, bed.node(2))
    for node in bed.alive():
        assert said(node) == {path: {**one, "state": "lost"}}
    come_back(file, bed.node(3))
    back = said(bed.node(1))[path]
    assert (back["state"], back["node"]) == ("connected", bed.node(3).pnn)
    assert back["since"] == one["since"]
    file.client.conn.close()
    proc.wait_until("disconnected", lambda: said(bed.node(1))[path]["state"]
                    == "disconnected", 20, 0.1)
    gone = said(bed.node(3))[path]
    assert gone["node"] is None and gone["client"] == bed.client.address
    assert seconds_of(gone["until"]) - seconds_of(
        gone["disconnected"]) == ASKED_S
    come_back(file, bed.node(1))
    file.close()
    for node in bed.alive():
        assert not said(node)
    rejoin(bed, volume, bed.node(2))


def damaged(whole, chance):
    """Some bytes of it are wrong, most of them in records."""
    copy, at = bytearray(whole), whole.find(b"ca-open")
    records = []
    while at != -1:
        records.append(at)
        at = whole.find(b"ca-open", at + 1)
    for _ in range(chance.randrange(1, 100)):
        copy[chance.choice(records) - chance.randrange(1000)] = \
            chance.randrange(256)
        copy[chance.randrange(len(copy))] = chance.randrange(256)
    if chance.random() < .3:
        return copy[:chance.randrange(len(copy))]
    return copy


def test_damaged_database(bed, volume, share):
    """A copy with wrong bytes in it: it says what can be read."""
    assert volume.owner() == bed.node(1)
    files = [Handles(bed.client, bed.node(2), share).open(f"file{number}")
             for number in range(10)]
    node = bed.node(1)
    whole = database(node).read_bytes()
    place = pathlib.Path(node.root + "/tmp/copy")
    place.write_bytes(whole)
    known = len(listed(node, "--database", "/tmp/copy"))
    seed = os.environ.get("SOFS_SEED", "1")
    chance = random.Random(seed)
    for _ in range(DAMAGES):
        place.write_bytes(damaged(whole, chance))
        done = node.run("sofs", "open", "list", "--json", "--database",
                        "/tmp/copy", check=False, timeout=10)
        assert done.returncode in (0, 1), (seed, done)
        if done.returncode == 0:
            # and remains of deleted ones: TDB leaves the header of a record
            # that it merges with the free one to its left
            assert len(json.loads(done.stdout)["opens"]) <= 2 * known
    place.write_bytes(whole)
    assert len(said(node, "--database", "/tmp/copy")) == len(files)
    for file in files:
        file.close()
