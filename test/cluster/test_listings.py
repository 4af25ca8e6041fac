# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings through a node that does not own the volume: the same as on the
owner, for each user, and cheap."""

import re

import pytest

from drive import Volume, accounted

COUNT = 400
PLAIN = {"continuous availability": "no"}
ENTRY = re.compile(r"^  (\S+) +([A-Z]*) +(\d+)  (.*)$", re.M)


def listing(bed, node, share, user="alice", mask="*"):
    """{name: (attributes, size, time)} of one listing."""
    out = bed.client.smbclient(node.address, share, f"ls d\\{mask}",
                               user=user).stdout
    return {name: rest for name, *rest in ENTRY.findall(out)
            if name not in (".", "..")}


@pytest.fixture(name="volume")
def _volume(bed):
    """The volume, owned by node1."""
    with accounted(Volume(bed).placed()) as volume:
        yield volume
    for name in ("listed", "listed2", "hiding"):
        if name in bed.shares():
            bed.unshare(name)


def fill(bed, volume, share, **params):
    """Files that smbd made, some of them hidden, read-only, larger."""
    client, owner = bed.client, bed.node(1)
    volume.make_share(share, **{**PLAIN, **params})
    client.smbclient(owner.address, share,
                     "mkdir d; cd d; put /etc/hostname f000; "
                     "put /etc/hostname hidden; setmode hidden +h; "
                     "put /etc/hostname fixed; setmode fixed +r; mkdir sub")
    owner.run("sh", "-c", f"cd {volume.path}/{share}/d && for i in $(seq 1 "
              f"{COUNT}); do n=$(printf 'f%03d' $i); cp -a --reflink=never "
              "f000 $n; echo $i >>$n; done; ln -s f001 link; ln -s gone hang")


def test_listing_is_the_owners_and_costs_little(bed, volume):
    """Names, attributes, sizes and times are the owner's; a change is seen
    by the next listing; a listed entry costs no trip to the owner."""
    fill(bed, volume, "listed")
    owner, other = bed.node(1), bed.node(2)
    expected = listing(bed, owner, "listed")
    assert len(expected) >= COUNT + 5
    assert expected["hidden"][0] == "AH" and expected["fixed"][0] == "AR"
    before = volume.state(owner)["counters"]["requests"]
    assert listing(bed, other, "listed") == expected
    cost = volume.state(owner)["counters"]["requests"] - before
    # what smbclient does beside listing takes about thirty
    assert cost < COUNT / 4, f"{cost} requests for {COUNT} entries"
    bed.client.smbclient(other.address, "listed",
                         "cd d; setmode f001 +h; del f002; "
                         "put /etc/passwd f003; rename f004 g004")
    changed = listing(bed, other, "listed")
    assert changed == listing(bed, owner, "listed")
    assert "H" in changed["f001"][0]
    assert "f002" not in changed and "f004" not in changed
    assert changed["f003"][1] != expected["f003"][1]
    assert "g004" in changed
    volume.check(owner)


def test_listing_hides_what_the_user_may_not_read(bed, volume):
    """With `hide unreadable` a user sees through either node what he may
    read, and no more; attributes are those that he may see."""
    fill(bed, volume, "hiding", **{"hide unreadable": "yes"})
    owner, other = bed.node(1), bed.node(2)
    bed.client.run("smbcacls", "-s", bed.client.dir / "smb.conf",
                   f"//{owner.address}/hiding", "d/f005", "-U",
                   "alice%alice-Pass1", "-S",
                   "ACL:alice:ALLOWED/0x0/FULL")
    alice = listing(bed, other, "hiding")
    bob = listing(bed, other, "hiding", "bob")
    assert alice == listing(bed, owner, "hiding")
    assert bob == listing(bed, owner, "hiding", "bob")
    assert "f005" in alice and "f005" not in bob
    assert "f006" in bob


def test_names_are_found_in_any_case(bed, volume):
    """A name in other case is the same file, ASCII or not, through either
    node; making a file in a large directory does not fetch the directory."""
    fill(bed, volume, "listed2")
    owner, other = bed.node(1), bed.node(2)
    for number, node in enumerate((other, owner)):
        before = volume.state(owner)["counters"]["requests"]
        bed.client.smbclient(node.address, "listed2",
                             f"cd D; put /etc/hostname New{number}; "
                             f"put /etc/hostname Größe{number}")
        cost = volume.state(owner)["counters"]["requests"] - before
        assert cost < 150, f"{cost} requests to make two files"
        out = bed.client.smbclient(node.address, "listed2", "cd d; "
                                   f"allinfo nEW{number}; allinfo F123; "
                                   f"allinfo gRÖSSE{number}; "
                                   f"allinfo gRÖßE{number}; allinfo f1234",
                                   check=False).stdout
        assert out.count("change_time:") == 3, out
        assert out.count("NT_STATUS_OBJECT_NAME_NOT_FOUND") == 2, out
