# SPDX-License-Identifier: GPL-3.0-or-later
"""smbtorture of the build, run from a client of the bed; and what its cluster
tests ask for: that a node be stopped."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading

from bed import faults, proc, samba
from bed.moved import Moved

TIMEOUT_S = 1800 if os.environ.get("SOFS_SOAK") else 300
RESULT = re.compile(r"^(success|failure|error|skip): ([^\n[]+?)(?: \[)?$",
                    re.M)
# The whole suite ends with a crash of smbtorture 4.25.0 in its first test.
SPLIT = {"smb2.compound": """invalid1 invalid2 invalid3 invalid4 interim1
    interim2 interim3 compound-break compound-padding related2 related3
    related4 related5 related6 related7 related8 related9 unrelated1
    create-write-close""".split()}


def torture_once(client, address, share, test, *options, timeout=TIMEOUT_S):
    """{name: outcome} of one run of smbtorture, and its output. A run that
    does not end is ended: what it did not come to has not passed."""
    word = samba.USERS["alice"][1]
    client.bed.moved.append(Moved(share, address, whole=False))
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        child = client.popen(
            "smbtorture", "--configfile", client.dir / "smb.conf",
            "--target=samba3", "-U", f"alice%{word}", *options,
            f"//{address}/{share}", test, stdout=out,
            stderr=subprocess.STDOUT)
        try:
            child.wait(timeout)
            ended = ""
        except subprocess.TimeoutExpired:
            ended = f"\n{test} did not end within {timeout} s\n"
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        out.seek(0)
        output = out.read() + ended
    return {name: outcome for outcome, name in RESULT.findall(output)}, output


def torture(client, address, share, suite, *options):
    """The same of a suite, taken apart where it must be."""
    results, output = {}, ""
    for part in SPLIT.get(suite, [None]):
        test = suite if part is None else f"{suite}.{part}"
        found, text = torture_once(client, address, share, test, *options)
        results.update(found)
        output += text
    return results, output


def passed(results):
    """Names of what succeeded."""
    return {name for name, outcome in results.items() if outcome == "success"}


# The smbd that is asked to stop its node answers first, and is then told to
# exit at once. $1 is the node's CTDB number; it runs as the client's user.
ASK = """#!/bin/sh
ask=/shared/torture/{verb}.$1
smbd=$PPID
until grep -q ^smbd /proc/$smbd/comm; do
	smbd=$(awk '/^PPid/ {{ print $2 }}' /proc/$smbd/status)
done
echo $smbd >$ask.new && mv $ask.new $ask || exit 1
n=0
while [ -e $ask ] && [ $n -lt 600 ]; do
	sleep 0.1
	n=$((n + 1))
done
[ $n -lt 600 ]
"""


class Switch(threading.Thread):
    """Does what smbtorture asks smbd for: kills nodes, and brings them back.
    """

    def __init__(self, bed, healthy=lambda: None):
        super().__init__(daemon=True)
        self.bed, self.healthy = bed, healthy
        self.path = bed.dir / "shared/torture"
        self._end = threading.Event()
        self.killed, self.failed = [], []

    def _kill(self, node, smbd):
        """Once the smbd has done what it still is asked for."""
        def ended():
            return not os.path.exists(f"{node.root}/proc/{smbd}")
        proc.wait_until("the asked smbd has ended", ended, 20, 0.05)
        faults.kill(node)
        self.killed.append(node.name)

    def _bring_back(self, node):
        faults.rejoin(node)
        self.bed.wait_healthy()
        self.healthy()

    def _serve(self, request):
        verb, number = request.name.split(".")
        node = self.bed.node(int(number) + 1)
        smbd = request.read_text("ascii").strip()
        if verb == "stop":
            request.unlink()
            self._kill(node, smbd)
        else:
            self._bring_back(node)
            request.unlink()

    def run(self):
        while not self._end.wait(0.05):
            for request in self.path.glob("st*.[0-9]"):
                try:
                    self._serve(request)
                except Exception as why:  # pylint: disable=broad-except
                    self.failed.append(f"{request.name}: {why}")
                    request.unlink(missing_ok=True)

    def end(self):
        """No more requests."""
        self._end.set()
        self.join()


@contextlib.contextmanager
def stoppable(bed, healthy=lambda: None):
    """A Switch, and smbds that use it; afterwards every node is on."""
    bed.shared_dir("torture")
    switch = Switch(bed, healthy)
    settings = {"smbd:FSCTL_SMBTORTURE": "yes", "smbd:suicide mode": "yes"}
    for verb in ("stop", "start"):
        script = switch.path / verb
        script.write_text(ASK.format(verb=verb), "ascii")
        script.chmod(0o755)
        settings[f"clusteredmember:{verb}_node"] = f"/shared/torture/{verb}"
    for name, value in settings.items():
        bed.node(1).run("net", "conf", "setparm", "global", name, value)
    bed.reload_smbd()
    switch.start()
    try:
        yield switch
    finally:
        switch.end()
        for node in bed.nodes:
            if not node.alive:
                faults.rejoin(node)
        bed.wait_healthy()
        for name in settings:
            bed.node(1).run("net", "conf", "delparm", "global", name)
        bed.reload_smbd()
