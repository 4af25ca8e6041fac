# SPDX-License-Identifier: GPL-3.0-or-later
"""The listing row of make bench: 10,000 entries through a node that does not
own the volume against the owner, and what each entry costs on the wire."""

import time

from bed.samba import USERS

ENTRIES = 10000

# Files as smbd makes them: the xattrs of one that it made, on all.
FILL = """
import concurrent.futures, os, sys
top, count = sys.argv[1], int(sys.argv[2])
first = top + "/first"
xattrs = {name: os.getxattr(first, name) for name in os.listxattr(first)}
who = os.stat(first)
def make(number):
    path = "%s/many/entry-%05d" % (top, number)
    with open(path, "w") as file:
        file.write("x" * (number % 100))
    os.chown(path, who.st_uid, who.st_gid)
    for name, value in xattrs.items():
        os.setxattr(path, name, value)
os.mkdir(top + "/many")
os.chown(top + "/many", who.st_uid, who.st_gid)
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    list(pool.map(make, range(count)))
"""


def smbclient(bed, node, share, commands):
    """One run of it, checked."""
    return bed.client.run(
        "smbclient", "-s", bed.client.dir / "smb.conf",
        f"//{node.address}/{share}", "-U", f"alice%{USERS['alice'][1]}",
        "-c", commands, timeout=300).stdout


def fill(bed, volume, share, count=ENTRIES):
    """A directory of so many files in the share of that name."""
    smbclient(bed, volume.owner(), share, "put /etc/hostname first")
    volume.owner().run("python3", "-c", FILL, f"{volume.path}/{share}",
                       count, timeout=600)


def requests(volume):
    """What the owner was asked for, all connections."""
    return volume.state(volume.owner())["counters"]["requests"]


def per_second(bed, node, share):
    """Entries per second of one listing, connecting included."""
    began = time.monotonic()
    out = smbclient(bed, node, share, "ls many\\*")
    took = time.monotonic() - began
    found = sum("entry-" in line for line in out.splitlines())
    assert found == ENTRIES, f"{node.name} lists {found} of {ENTRIES}"
    return ENTRIES / took


def rows(bed, volume, wire, pairs, compare):
    """The row, measured with the caller's compare(), in a list."""
    share = "listing"
    volume.make_share(share, **{"continuous availability": "no"})
    owner = volume.owner()
    other = next(node for node in bed.nodes if node != owner)
    fill(bed, volume, share)
    before = requests(volume)
    per_second(bed, other, share)
    cost = (requests(volume) - before) / ENTRIES
    row = compare({"comparison": "redirected/direct", "wire": wire,
                   "operation": "list", "size_bytes": 0, "depth": 1,
                   "entries": ENTRIES, "required_ratio": None,
                   "requests_per_entry": round(cost, 4)}, pairs,
                  lambda: per_second(bed, other, share),
                  lambda: per_second(bed, owner, share))
    print(f"  {cost:.4f} requests to the owner per entry", flush=True)
    return [row]
