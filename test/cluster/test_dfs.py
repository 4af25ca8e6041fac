# SPDX-License-Identifier: GPL-3.0-or-later
"""DFS referrals (vfs_csvdfs): a client that knows no move on connect asks on
IPC$ and finds the owner of the share's volume."""

import pathlib
import re

import pytest

from bed import net
from bed.samba import USERS
from drive import Volume
from drive.script import Script

RAW = pathlib.Path(__file__).parent / "drive/raw_dfs.py"
NOT_FOUND = 0xC0000225
ROOT, STORAGE = 1, 2


def reload(node, text):
    """Another smb.conf."""
    (node.dir / "etc/smb.conf").write_text(text, "utf-8")
    node.run("smbcontrol", "smbd", "reload-config")


@pytest.fixture(name="volume")
def _volume(bed):
    """vol1 at node1, shares with and without referrals. The node's smb.conf is
    as before at the end: other tests have this bed, too."""
    before = {node: (node.dir / "etc/smb.conf").read_text("utf-8")
              for node in bed.nodes}
    for node, text in before.items():
        reload(node, text + "[IPC$]\n\tvfs objects = csvdfs\n")
    volume = Volume(bed).placed()
    volume.make_share("referred", **{"csv:dfs referral": "yes"})
    volume.make_share("plain")
    yield volume
    for node, text in before.items():
        reload(node, text)


def addresses(node):
    """Where clients find a node: the public address it has comes first."""
    held = [ip for ip in (net.public_address(n.number)
                          for n in node.bed.nodes)
            if f" {ip}/" in node.run("ip", "-4", "-o", "address").stdout]
    return held + [node.cluster_address]


def place_of(bed, node, share, *options):
    """Which server smbclient has its tree at, in the end."""
    said = bed.client.run(
        "smbclient", "-s", bed.client.dir / "smb.conf",
        f"//{node.address}/{share}", "-U", f"alice%{USERS['alice'][1]}",
        *options, "-c", "showconnect; ls").stdout
    return re.search("//([^/]+)/", said)[1]


@pytest.mark.parametrize("dialect", ["SMB2_10", "SMB3_02", "SMB3_11"])
def test_finds_the_owner(bed, volume, dialect):
    """From any node, and after a move; only where the share says so."""
    options = ("-m", dialect, "--option=client min protocol=SMB2_02")
    for number in (1, 3):
        owner, other = bed.node(number), bed.node(2)
        if volume.owner() != owner:
            volume.move(owner)
        assert place_of(bed, other, "referred", *options) in addresses(owner)
        assert place_of(bed, owner, "referred", *options) == owner.address
        assert place_of(bed, other, "plain", *options) == other.address


def test_what_is_answered(bed, volume):
    """Versions 2 and 3, the whole way, and what is Samba's own business."""
    owner, other = volume.owner(), bed.node(2)
    path = f"\\{other.address}\\referred"
    with Script(bed.client, RAW) as client:
        for level in (1, 2, 3, 4):
            answer = client.ask([other.address, path + "\\a\\b", level])
            assert answer["status"] == 0
            assert answer["path_consumed"] == 2 * len(path)
            assert answer["flags"] == ROOT | STORAGE
            entries = answer["entries"]
            assert [one["target"] for one in entries] == [
                f"\\{address}\\referred" for address in addresses(owner)]
            for one in entries:
                assert one["version"] == max(2, min(level, 3))
                assert (one["path"], one["server_type"], one["ttl"]) == (
                    path, 1, 10)
        itself = f"\\{owner.address}\\referred"
        answer = client.ask([owner.address, itself, 3])
        assert [one["target"] for one in answer["entries"]] == [itself]
        for wrong in ("\\a\\plain", "\\a\\nothing", "\\a", "\\", "", "\\\\\\"):
            answer = client.ask([other.address, wrong, 3])
            assert answer["status"] != 0, wrong


def test_no_csvd_is_no_error(bed, volume):
    """Then the node itself is as good as any other."""
    owner, other = volume.owner(), bed.node(2)
    assert owner != other
    other.run("mv", "/run/csvd/csvd.sock", "/run/csvd/away")
    try:
        with Script(bed.client, RAW) as client:
            path = f"\\{other.address}\\referred"
            answer = client.ask([other.address, path, 3])
            assert [one["target"] for one in answer["entries"]] == [path]
    finally:
        other.run("mv", "/run/csvd/away", "/run/csvd/csvd.sock")
