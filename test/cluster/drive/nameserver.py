# SPDX-License-Identifier: GPL-3.0-or-later
"""BIND 9 in a client's network namespace, with a zone that one key may
change."""

import base64
import secrets
import shutil
import signal

from bed import proc

ZONE = "bed.test"
NAME = f"sofs.{ZONE}"

CONFIG = """options {{
	directory "{dir}";
	pid-file none;
	session-keyfile none;
	lock-file none;
	listen-on {{ {address}; }};
	listen-on-v6 {{ none; }};
	recursion no;
	dnssec-validation no;
	notify no;
}};
controls {{ }};
include "key";
zone "{zone}" {{
	type primary;
	file "zone";
	update-policy {{ grant sofs name {name}. A AAAA; }};
}};
"""

RECORDS = """$TTL 60
@	SOA	ns admin 1 60 60 600 60
	NS	ns
ns	A	{address}
"""


class NameServer:
    """A server with all that it needs in one directory."""

    def __init__(self, client, directory):
        self.client, self.dir, self.child = client, directory, None
        self.address = client.address
        self.secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self.key = 'key "sofs" {\n\talgorithm hmac-sha256;\n' \
                   f'\tsecret "{self.secret}";\n}};\n'
        names = {"dir": directory, "address": self.address, "zone": ZONE,
                 "name": NAME}
        for name, text in (("named.conf", CONFIG.format(**names)),
                           ("zone", RECORDS.format(**names)),
                           ("key", self.key)):
            (directory / name).write_text(text, "utf-8")
        # where AppArmor confines /usr/sbin/named, a copy may come here
        shutil.copy2("/usr/sbin/named", directory / "named")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """It answers when this returns."""
        with open(self.dir / "log", "ab") as log:
            self.child = self.client.popen(
                self.dir / "named", "-g", "-4", "-n", "1", "-c",
                self.dir / "named.conf", stdout=log, stderr=log)
        proc.wait_until("named answers", lambda: self.client.run(
            "dig", "-r", "+time=1", "+tries=1", f"@{self.address}", ZONE,
            "SOA", check=False).returncode == 0, 10)

    def kill(self):
        """Away: what is asked is refused at once."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

    def hang(self):
        """Silent; what is asked meanwhile waits in its socket."""
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        """The opposite: first comes what has waited."""
        self.child.send_signal(signal.SIGCONT)

    def answer(self, kind="A"):
        """Addresses of the name in the order of the answer."""
        return [row[4] for row in self._rows(kind)]

    def ttls(self):
        """How long clients may remember them."""
        return {row[1] for row in self._rows("A") + self._rows("AAAA")}

    def _rows(self, kind):
        out = self.client.run("dig", "-r", "+noall", "+answer", "+time=2",
                              "+tries=1", f"@{self.address}", NAME, kind,
                              check=False)
        return [line.split() for line in out.stdout.splitlines()
                if line.split()[3:4] == [kind]]
