# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret from which the keys between nodes come is changed while clients
write."""

from bed import proc
from drive import Stream


def secrets(node):
    """The keys of the secrets' database, without their values."""
    out = node.run("dbwrap_tool", "--persistent", "csv_secrets.tdb",
                   "listkeys").stdout
    return {line.strip().removesuffix("\\00") for line in out.splitlines() if line}


def connections(node):
    """The node's connections with the owner's csvd, by their own ports."""
    out = node.run("ss", "-Htn", "state", "established", "dport = :4450")
    return {line.split()[2] for line in out.stdout.splitlines()}


def rotate(bed, volume):
    """A new secret, by way of a node that does not own the volume; returns
    its number when every node uses it."""
    out = volume.sofs("secret", "rotate", node=bed.node(3)).stdout
    number = int(out.split()[1])
    for node in bed.nodes:
        proc.wait_until(f"{node.name} uses it", lambda n=node:
                        f"secret {number} is in use" in n.log("csvd.log"),
                        20, 0.1)
    return number


def test_secret_is_rotated(bed, volume):
    """Twice: the connection that exists goes on; the next one, which would be
    refused with the first key, comes up. Two keys are kept."""
    node, epoch = bed.node(2), volume.epoch()
    with Stream(bed.client, "vms", "secret", [node],
                verify_through=bed.node(3)) as stream:
        before = connections(node)
        first, second = rotate(bed, volume), rotate(bed, volume)
        assert second == first + 1
        stream.more_blocks()
        assert before and before <= connections(node)
        node.run("ss", "-K", "dport = :4450")
        stream.more_blocks()
        assert connections(node) and not before & connections(node)
    stream.assert_whole()
    assert secrets(node) == {"CURRENT", f"SECRET/{first}",
                             f"SECRET/{second}"}
    assert volume.epoch() == epoch
    volume.check(bed.node(1))
