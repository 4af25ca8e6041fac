# SPDX-License-Identifier: GPL-3.0-or-later
"""A witness client that registers, and waits for notifications."""

import pathlib
import select

from bed import net

from .script import Script

SCRIPT = pathlib.Path(__file__).with_name("raw_witness.py")
RESOURCE_CHANGE, CLIENT_MOVE, SHARE_MOVE = 1, 2, 3
AVAILABLE, UNAVAILABLE = 1, 0xff
NOT_FOUND = 0x490
PROCNUM_OUT_OF_RANGE = 0xC002002E


def _held(node):
    """The public addresses that the node has now."""
    return sorted(address for address, number in
                  node.bed.public_ips(node).items() if number == node.number)


def public_address(node):
    """One of them."""
    return _held(node)[0]


def node_addresses(node):
    """All that a move to the node names: its own, then its public ones."""
    return [net.cluster_address(node.number)] + _held(node)


class Witness(Script):
    """``with Witness(client) as w: w.register(node2, node1_ip, "vms")``."""

    def __init__(self, client, user="alice"):
        super().__init__(client, SCRIPT, user)

    def interfaces(self, at):
        """What the service at an address says of all addresses."""
        return self.call("interfaces", at=at)["interfaces"]

    def register(self, at, ip, share=None, **more):
        """For the address ip, with the service at another node's."""
        self.call("register", at=at, ip=ip, share=share, **more)

    def call(self, what, timeout=30, **more):
        """A call that succeeds."""
        answer = self.ask({"do": what, **more}, timeout)
        assert answer["status"] == 0, (what, more, answer)
        return answer

    def notify(self, timeout=30):
        """The next notification."""
        return self.call("notify", timeout)

    def begin(self):
        """Wait for a notification, which answered() or end() bring."""
        self.send({"do": "notify"})

    def end(self, timeout=30):
        """The notification."""
        return self.answer(timeout)

    def silent(self, seconds):
        """None comes that soon; the wait goes on."""
        return not select.select([self.output], [], [], seconds)[0]
