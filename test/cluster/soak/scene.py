# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed of a soak: three nodes, six clients, two volumes with a share each;
and how a planned fault finds its victim there."""

from bed import Bed, checks
from drive import Volume

from .faults import Hit

NODES, CLIENTS = 3, 6
# Longer than any fault: what is tested is that clients wait, not for how long.
WAIT_LIMIT_S = 600
# A leader that is cut off bans itself for so long: nothing happens meanwhile.
TUNABLES = {"RecoveryBanPeriod": 10}
# The nodes share a kernel, and XFS would refuse a second mount otherwise.
OPTIONS = ("--options", "wsync,nouuid")


class Scene:
    """``Scene.up()``; volumes[0] on a plain LUN, volumes[1] on one that can
    be late."""

    def __init__(self, bed):
        self.bed = bed
        self.volumes = [Volume(bed, name) for name in bed.luns]
        self.shares = [f"share{n + 1}" for n in range(len(self.volumes))]
        self.plain = []
        self.panics = checks.Panics(bed)
        self.leader = None          # as when all was well the last time

    @classmethod
    def up(cls, make_bed=Bed.up, **kwargs):
        """Build it, with the volumes on node1 and node2."""
        bed = make_bed(nodes=NODES, clients=CLIENTS, volumes=1, size="4G",
                       tunables=TUNABLES, **kwargs)
        # on btrfs it would write 25 times what the clients do
        bed.add_lun("vol2", size="4G", store="xfs")
        scene = cls(bed)
        scene.volumes[0].add(*OPTIONS, preferred=(0, 2, 1),
                             wait_limit=WAIT_LIMIT_S)
        scene.volumes[1].add(*OPTIONS, preferred=(1, 0, 2),
                             wait_limit=WAIT_LIMIT_S)
        for volume, share in zip(scene.volumes, scene.shares):
            volume.make_share(share)
            volume.check()
        return scene

    def make_plain_shares(self):
        """One more share on each volume, without persistent handles."""
        self.plain = [f"plain{n + 1}" for n in range(len(self.volumes))]
        for volume, share in zip(self.volumes, self.plain):
            volume.make_share(share, **{"continuous availability": "no"})

    def place(self, planned):
        """Move the volumes so that a node has the planned role; the Hit."""
        chance, nodes = planned.random, self.bed.nodes
        leader = self.leader or self.bed.leader()
        others = [n for n in nodes if n != leader]
        victim = leader if planned.leads else chance.choice(others)
        others = [n for n in nodes if n != victim]
        chance.shuffle(others)
        which = planned.fault.volume
        which = chance.randrange(len(self.volumes)) if which is None else which
        owners = [victim if planned.owns == 2 or
                  planned.owns and volume == self.volumes[which]
                  else others[index]
                  for index, volume in enumerate(self.volumes)]
        for volume, owner in zip(self.volumes, owners):
            if volume.owner() != owner:
                volume.move(owner)
        return Hit(self.bed, victim, chance.choice(others),
                   self.volumes[which], planned.seconds, chance, others)

    def epochs(self):
        """Of each volume."""
        return [volume.epoch() for volume in self.volumes]

    def check(self):
        """Each volume is mounted by its owner only, no other smbd holds
        anything of it; and nothing has panicked."""
        self.panics.check()
        for volume in self.volumes:
            volume.check()

    def fsck(self):
        """The volumes are taken away; {name: what a checker complains of}."""
        dirty = {}
        for volume in self.volumes:
            volume.remove()
            checks.wait_unmounted(self.bed, volume.name)
            clean, said = self.bed.luns[volume.name].fsck()
            print(f"fsck of {volume.name}: {'clean' if clean else said}")
            if not clean:
                dirty[volume.name] = said
        return dirty
