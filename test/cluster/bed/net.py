# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridge, cables and cut cables.

The bridge lives in the bed's own network namespace, so that two beds may use
the same addresses and the host's network never changes.  A node's cable is
named n1, n2 …, a client's c1 …; the end inside is always eth0.
"""

import itertools
import subprocess

from . import ns, proc

BRIDGE = "bed0"
CLUSTER = "10.77.0."
SERVICE = "10.77.1."
CONGESTION_CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"


def cluster_address(node):
    """Where ctdbd and csvd of a node talk to each other."""
    return f"{CLUSTER}{node}"


def node_address(node):
    """A node's own address for clients; it never moves."""
    return f"{SERVICE}{node}"


def public_address(index):
    """A CTDB public address; it moves between nodes."""
    return f"{SERVICE}{100 + index}"


def client_address(index):
    """A client's address."""
    return f"{SERVICE}{200 + index}"


def client_cluster_address(index):
    """The one by which it reaches what nodes call their own."""
    return f"{CLUSTER}{200 + index}"


def hardware_address(cable):
    """The MAC address of the inner end of a cable."""
    return f"02:77:00:00:{ord(cable[0]):02x}:{int(cable[1:]):02x}"


def _ip(pid, lines):
    ns.command(ns.enter_argv(pid, "n") + ["ip", "-batch", "-"],
               input="\n".join(lines) + "\n")


def _nft(pid, text):
    ns.command(ns.enter_argv(pid, "n") + ["nft", "-f", "-"], input=text)


def _no_ip_filters(bed_pid):
    """A switch asks no IP filter; a host with br_netfilter has its bridges ask
    for every frame."""
    ns.command(ns.enter_argv(bed_pid, "n") + [
        "sh", "-c", "for f in /proc/sys/net/bridge/bridge-nf-call-*; do"
        ' [ ! -e "$f" ] || echo 0 >"$f"; done'])


def make_bridge(bed_pid):
    """Set up the bed's bridge and the table that holds the cuts."""
    _ip(bed_pid, [f"link add {BRIDGE} type bridge forward_delay 0",
                  f"link set {BRIDGE} up", "link set lo up"])
    _no_ip_filters(bed_pid)
    _nft(bed_pid, "table bridge bed { chain cables {"
         " type filter hook forward priority 0; policy accept; }; }\n")


def plug(bed_pid, pid, cable, addresses):
    """Lay a cable from the bridge to the network namespace of pid.

    The hardware address belongs to the cable, so that nobody has to forget
    an old one when a node comes back.
    """
    unplug(bed_pid, cable)
    _ip(bed_pid, [f"link add {cable} type veth peer name eth0 address "
                  f"{hardware_address(cable)} netns {pid}",
                  f"link set {cable} master {BRIDGE}",
                  f"link set {cable} up"])
    _ip(pid, ["link set lo up", "link set eth0 up"]
        + [f"addr add {a}/24 dev eth0" for a in addresses])
    # Whatever this machine's default is: BBR paces by the round
    # trip, which is some microseconds here, and stalls for milliseconds.
    ns.command(ns.enter_argv(pid, "n")
               + ["sh", "-c", f"echo reno >{CONGESTION_CONTROL}"])


def unplug(bed_pid, cable):
    """Remove a cable if there is one."""
    subprocess.run(ns.enter_argv(bed_pid, "n")
                      + ["ip", "link", "del", cable],
                      capture_output=True, check=False)


def set_cuts(bed_pid, silent, groups, ports=()):
    """Drop what silent cables send or get, and all between the groups, ARP
    too; and what the first cable sends to the second's TCP port.

    silent: cable names; groups: lists of cable names; ports: (cable, cable,
    port).  Replaces all earlier cuts; nobody gets a reset.
    """
    rules = ["flush chain bridge bed cables"]
    for cable in silent:
        rules.append(f'add rule bridge bed cables iifname "{cable}" drop')
        rules.append(f'add rule bridge bed cables oifname "{cable}" drop')
    for one, two in itertools.permutations(groups, 2):
        for source, target in itertools.product(one, two):
            rules.append("add rule bridge bed cables "
                         f'iifname "{source}" oifname "{target}" drop')
    for source, target, port in ports:
        rules.append(f'add rule bridge bed cables iifname "{source}" '
                     f'oifname "{target}" tcp dport {port} drop')
    _nft(bed_pid, "\n".join(rules) + "\n")


def wait_plugged(pid, timeout=5):
    """Wait until eth0 in the namespace of pid is up with a carrier."""
    def carrier():
        out = ns.command(ns.enter_argv(pid, "n")
                         + ["ip", "-o", "link", "show", "eth0"])
        return "LOWER_UP" in out
    proc.wait_until("eth0 has a carrier", carrier, timeout)
