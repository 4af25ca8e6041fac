# SPDX-License-Identifier: GPL-3.0-or-later
"""A world for 55.sofs: stubs of ctdb, dig, nsupdate, net and sleep around
files that hold what the cluster and the DNS server would know."""

import fcntl
import time

import pytest

from event_world import World

FLAGS = ("Disconnected", "Unknown", "Banned", "Disabled", "Unhealthy",
         "Stopped", "Inactive", "PartiallyOnline")
NAME = "sofs.example.com"
SETTLED = "Recovery mode:NORMAL (0)\nLeader:0\n"

# Of what a client asks; "gone" is a node without ctdbd.
CTDB = """[ ! -e gone ] || exit 1
case "$*" in
"-X nodestatus all") cat nodes; exit 16 ;;
"-X ip all") cat ips ;;
status) cat status ;;
esac
"""

# Answers from the file "records": lines NAME TTL IN TYPE ADDRESS.
DIG = """[ ! -e hangs ] || exec /bin/sleep 60
[ ! -e away ] || exit 9
for type in A AAAA; do
	echo ";; ->>HEADER<<- opcode: QUERY, status: $(cat rcode), id: 1"
	grep " IN $type " records || true
done
"""

# Keeps the messages, and does what they ask for.
NSUPDATE = """[ ! -e nsupdate-hangs ] || exec /bin/sleep 60
cat >message
cat message >>messages
if [ -e refusal ]; then
	cat refusal >&2
	exit 2
fi
{
	grep -v "^$(sed -n 's/^update delete \\([^ ]*\\) .*/\\1/p' message |
		head -n 1) " records
	sed -n 's/^update add //p' message
} >records.new
mv records.new records
"""

# Takes no time; the fourth pause between two tries is the last.
SLEEP = """[ "$1" = 2 ] || exit 0
cp var/service/sofs/trouble said 2>/dev/null
[ "$(grep -c '^sleep 2$' calls)" -lt 4 ] || : >gone
"""


class DnsWorld(World):
    """Three healthy nodes of which this one is the first, and a server that
    knows nothing yet."""

    def __init__(self, path):
        super().__init__(path, "55.sofs")
        self.ctdb = f"{path}/bin/ctdb"
        for name, body in (("ctdb", CTDB), ("dig", DIG), ("sleep", SLEEP),
                           ("nsupdate", NSUPDATE), ("net", "exit 0")):
            self.stub(name, f"cd '{path}'\n{body}")
        self.put("records", "")
        self.put("rcode", "NOERROR")
        self.put("status", SETTLED)
        self.put("key", 'key "k" { algorithm hmac-sha256; secret "x"; };\n')
        self.nodes()
        self.set()

    def put(self, name, text=""):
        """Write a file of this world."""
        (self.path / name).write_text(text, "utf-8")

    def take(self, name):
        """Remove one."""
        (self.path / name).unlink()

    def text(self, name):
        """What is in one; nothing where it is not."""
        file = self.path / name
        return file.read_text("utf-8") if file.exists() else ""

    def set(self, **options):
        """Write the options file; METHOD stands for CTDB_SOFS_DNS_METHOD."""
        options = {"METHOD": "nsupdate", "NAMES": NAME, "SERVER": "192.0.2.53",
                   "ZONE": "example.com", "TIMEOUT": 1,
                   "KEY_FILE": self.path / "key", **options}
        self.options("".join(f"CTDB_SOFS_DNS_{name}='{value}'\n"
                             for name, value in options.items()
                             if value is not None))

    def nodes(self, count=3, this=0, **flags):
        """What ctdb says of the nodes: unhealthy=[1, 2] and so on."""
        rows = ["|".join(["", "Node", "IP", *FLAGS, "ThisNode", ""])]
        for node in range(count):
            bits = ["1" if node in flags.get(flag.lower(), ()) else "0"
                    for flag in FLAGS]
            rows.append("|".join(["", str(node), f"10.0.0.{node + 1}", *bits,
                                  "Y" if node == this else "N", ""]))
        self.put("nodes", "\n".join(rows) + "\n")

    def nodes_file(self, text):
        """The clients' addresses of the nodes."""
        self.put("base/dns_nodes", text)

    def records(self, *addresses, ttl=30, name=NAME):
        """What the server has."""
        self.put("records", "".join(
            f"{name} {ttl} IN {'AAAA' if ':' in one else 'A'} {one}\n"
            for one in addresses))

    def registered(self, name=NAME):
        """The opposite."""
        rows = [line.split() for line in self.text("records").splitlines()]
        return {row[4] for row in rows if row[0] == name}

    def update(self):
        """Let the detached process work, here and now; the first word and the
        arguments of all that it called, but ctdb."""
        code, out, self.took = self.event("update")
        assert (code, out) == (0, "")
        return [call for call in self.calls() if not call.startswith("ctdb")]

    def wait(self, what, probe, timeout=20):
        """Wait for the detached process."""
        end = time.monotonic() + timeout
        while not probe():
            assert time.monotonic() < end, (what, self.calls())
            time.sleep(0.01)

    def idle(self):
        """Does nobody work or wait?"""
        locks = []
        try:
            for name in ("queue.lock", "lock"):
                path = self.path / "var/service/sofs" / name
                locks.append(open(path, "a", encoding="utf-8"))
                fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        finally:
            for lock in locks:
                lock.close()

    def close(self):
        """Detached processes end because ctdbd is gone."""
        self.put("gone")
        if (self.path / "var/service/sofs").exists():
            self.wait("idle", self.idle)
        super().close()


@pytest.fixture
def dns(tmp_path):
    """55.sofs' surroundings."""
    made = DnsWorld(tmp_path)
    yield made
    made.close()
