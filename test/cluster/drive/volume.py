# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume of a bed, handled with the admin's tool as an admin does."""

import json
import time

from bed import checks, proc
from bed.errors import BedError

from .ledger import smbd_counters

CA_STACK = "acl_xattr streams_xattr ca csv"     # ca above csv
SHARE = {"vfs objects": "acl_xattr streams_xattr csv",
         "continuous availability": "yes"}


class Volume:
    """A volume on the LUN of the same name."""

    def __init__(self, bed, name="vol1"):
        self.bed, self.name = bed, name
        self.path = f"/csv/{name}"
        self.owners = {}            # by epoch, as far as seen

    def sofs(self, *args, node=None, check=True, timeout=60):
        """Run the tool on a node (default: the first that lives)."""
        node = node or self.bed.alive()[0]
        return node.run("sofs", *args, check=check, timeout=timeout)

    def add(self, *options, preferred=(0, 1, 2), fence=True, wait_limit=60):
        """Declare it; returns when it is Active on its owner."""
        argv = ["volume", "add", self.name, "--device",
                f"/dev/csv/{self.name}", "--fstype",
                self.bed.luns[self.name].fstype, "--wait-limit", wait_limit]
        if preferred:
            argv += ["--preferred", ",".join(map(str, preferred))]
        if fence:
            argv += ["--fence", "fence_bed"]
        proc.wait_until(f"{self.name} declared", lambda: self._declare(
            *argv, *options), 20, 0.1)
        self.wait_active()
        return self

    def _declare(self, *argv):
        """False while the last owner of that name has not let go of it."""
        done = self.sofs(*argv, check=False)
        if done.returncode and "has not let go" in done.stderr:
            return False
        assert done.returncode == 0, done.stderr
        return True

    def placed(self):
        """Declared, Active, owned by node1."""
        if not self.declared():
            self.add(preferred=(0, 2, 1), wait_limit=120)
        self.wait_active()
        if self.owner() != self.bed.node(1):
            self.move(self.bed.node(1))
        return self

    def ready(self, share="vms"):
        """The same with a share."""
        self.placed().make_share(share)
        self.check(self.bed.node(1))
        return self

    def declared(self):
        """Does the cluster know it?"""
        out = json.loads(self.sofs("volume", "list", "--json").stdout)
        return self.name in [v["name"] for v in out["volumes"]]

    def remove(self):
        """Undeclare it."""
        self.sofs("volume", "remove", self.name)

    def state(self, node=None):
        """The tool's JSON for this volume, as one node sees it."""
        out = self.sofs("volume", "state", self.name, "--json", node=node)
        volumes = json.loads(out.stdout)["volumes"]
        if len(volumes) != 1:
            raise BedError(f"sofs volume state {self.name}: {out.stdout}")
        self._note_owner(volumes[0])
        return volumes[0]

    def reason(self, node):
        """Why it is not Active on a node, as that node's csvd says."""
        mine, = [n for n in self.state(node)["nodes"]
                 if n["node"] == node.pnn]
        return "" if mine["state"] == "Active" else mine["reason"] or ""

    def _note_owner(self, state):
        owners = self.bed.nodes if state["volume_access"] == "shared" else [
            n for n in self.bed.nodes if n.pnn == state["owner"]]
        if owners and state["epoch"] is not None:
            self.owners.setdefault(state["epoch"], set()).update(owners)

    def owner(self, node=None):
        """The node that owns it, None if nobody does, as one node says."""
        number = self.state(node)["owner"]
        return None if number is None else self.bed.node(number + 1)

    def epoch(self):
        """Number of the ownership; grows with every change."""
        return self.state()["epoch"]

    def wait_active(self, owner=None, nodes=None, timeout=60, after=-1):
        """Wait until it is Active on these nodes (default: all living), with
        this owner if one is given, in a later epoch than `after`; returns
        the owner."""
        nodes = nodes or self.bed.alive()

        def active():
            for node in nodes:
                state = self.state(node)
                mine = [n for n in state["nodes"]
                        if n["node"] == node.number - 1]
                if not mine or mine[0]["state"] != "Active":
                    raise BedError(f"{node.name}: {state}")
                if state["epoch"] <= after:
                    raise BedError(f"{node.name}: {state}")
                if owner is not None and state["owner"] != owner.number - 1:
                    raise BedError(f"{node.name}: {state}")
            return True
        proc.wait_until(f"{self.name} Active", active, timeout, 0.1)
        return self.owner(nodes[0])

    def place(self, leads):
        """Give it to CTDB's leader, or to another node. Its owner, and the
        other nodes."""
        led = self.bed.leader()
        owner = led if leads else [n for n in self.bed.nodes if n != led][0]
        if self.owner() != owner:
            self.move(owner)
        return owner, [n for n in self.bed.nodes if n != owner]

    def move(self, node, timeout=60):
        """A planned move; returns the seconds that the tool took."""
        began = time.monotonic()
        self.sofs("volume", "move", self.name, "--to", node.number - 1,
                  "--wait", timeout=timeout)
        took = time.monotonic() - began
        assert self.owner() == node, f"{self.name} is not on {node.name}"
        return took

    def make_share(self, name, directory=None, user="alice", **params):
        """A directory on the volume, made on the owner, as a share."""
        directory = directory or name
        path = f"{self.path}/{directory}"
        owner = self.owner()
        owner.run("mkdir", "-p", path)
        owner.run("chown", f"{user}:{user}", path)
        self.bed.share(name, path, **{**SHARE, "csv:volume": self.name,
                                      **params})
        return name

    def redirected_bytes(self, node):
        """Bytes that smbds of a node redirected."""
        sums = smbd_counters(node, self.name)
        return sums["redirected_read_bytes"] + sums["redirected_write_bytes"]

    def redirected_ops(self, node):
        """Operations of any kind that smbds of a node redirected."""
        return smbd_counters(node, self.name)["redirected_ops"]

    def check(self, owner=None):
        """The design's assertions: mounted on the owner only, no smbd
        elsewhere holds anything of it."""
        owner = owner or self.owner()
        checks.assert_volume(self.bed, self.name, owner)

    def check_serving(self):
        """The same once it is Active on every node whose daemons run."""
        nodes = [node for node in self.bed.alive() if not node.missing()]
        self.check(self.wait_active(nodes=nodes))
