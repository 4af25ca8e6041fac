# SPDX-License-Identifier: GPL-3.0-or-later
"""CTDB's cluster lock as its voters and processes show it, and places for a
third vote."""

import base64
import email.utils
import hashlib
import hmac
import json
import os
import re
import subprocess

import pytest

from bed import proc, samba

HELPER = samba.BUILD / "bin/csv_quorum_helper"


def voters(node):
    """What every voter says, asked from one node."""
    out = node.run("/bed/bin/csv_quorum_helper", *lock_options(node.bed),
                   "--status", check=False).stdout
    return json.loads(out)["voters"]


def lock_options(bed):
    """The options of the bed's cluster lock."""
    return bed.config["cluster_lock"].split()[1:]


def votes(node):
    """Whom the voters vote for: a list of CTDB node numbers or None."""
    return [v.get("votes_for") for v in voters(node) if v["answers"]]


def helpers(node):
    """Host process ids of the node's runs of the lock's helper."""
    found = []
    for pid in node.pids("csv_quorum_helper"):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as handle:
                if "--voter" not in handle.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def voter(node):
    """Host process ids of the node's voter: (its supervisor, itself)."""
    with open(f"{node.root}/run/csvd/quorum.pid", encoding="ascii") as handle:
        inner = int(handle.read())
    for pid in node.pids("csv_quorum_helper"):
        with open(f"/proc/{pid}/status", encoding="ascii") as handle:
            numbers = re.search(r"NSpid:(.*)", handle.read()).group(1).split()
        if int(numbers[-1]) == inner:
            child = [p for p in node.pids("csv_quorum_helper")
                     if proc.parent(p) == pid]
            return pid, child[0] if child else None
    return None, None


def holder(node):
    """The node (a bed's) that holds the lock, as a majority of the voters
    that this node reaches says; None: nobody."""
    said = voters(node)
    for number in {v.get("votes_for") for v in said} - {None}:
        mine = [v for v in said if v.get("votes_for") == number
                and v.get("holder")]
        if 2 * len(mine) > len(said):
            return node.bed.node(number + 1)
    return None


def wait_holder(bed, node, among=None, timeout=30):
    """Wait until somebody (of these) holds the lock; who."""
    def found():
        who = holder(node)
        return who is not None and (among is None or who in among)
    proc.wait_until("a holder of the cluster lock", found, timeout, 0.05)
    return holder(node)


def _init(run, place):
    """Prepare a place; the option that names it."""
    out = run(str(HELPER), "--init", "--third", place)
    return out.strip()


def _here(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def disk(bed):
    """A cluster lock with a third vote on a LUN."""
    image = bed.declare_lun("quorum", "1M").image()
    option = _init(_here, f"file:{image}")
    uuid = re.search(r"uuid=(\w+)", option).group(1)
    return f"{samba.QUORUM_LOCK} --third disk:/dev/csv/quorum,uuid={uuid}"


def shared_file(bed):
    """One with a third vote in a file of a mounted share."""
    directory = bed.dir / "shared/witness"
    directory.mkdir()
    option = _init(_here, f"file:{directory}/area")
    return f"{samba.QUORUM_LOCK} {option}".replace(
        str(directory), "/shared/witness")


SMBD = """[global]
	server role = standalone server
	workgroup = WITNESS
	interfaces = {address}
	bind interfaces only = yes
	smb ports = 445
	disable netbios = yes
	log file = {dir}/log
	{dirs}
[witness]
	path = {dir}/share
	read only = no
	force user = root
"""


def smb_share(bed):
    """One with a third vote in a file of an smbd outside of the cluster, on
    the second client's machine."""
    host = bed.clients[1]
    top = bed.dir / "witness"
    (top / "share").mkdir(parents=True)
    dirs = "\n\t".join(f"{name} = {top}" for name in (
        "private dir", "lock directory", "state directory",
        "cache directory", "pid directory", "ncalrpc dir"))
    conf = top / "smb.conf"
    conf.write_text(SMBD.format(address=host.address, dir=top, dirs=dirs),
                    "utf-8")
    host.run("smbpasswd", "-c", conf, "-s", "-a", "nobody",
             data="witness-Pass1\nwitness-Pass1\n")
    start_smbd(bed)
    auth = "username = nobody\npassword = witness-Pass1\n"
    for path in (top / "auth", bed.dir / "bin/witness-auth"):
        path.touch(mode=0o600)
        path.write_text(auth, "utf-8")
    place = f"smb://{host.address}/witness/area"
    option = _init(lambda *argv: host.run(*argv, "--run-dir", top).stdout,
                   f"{place},auth={top}/auth")
    return f"{samba.QUORUM_LOCK} {option}".replace(
        f"{top}/auth", "/bed/bin/witness-auth")


def start_smbd(bed):
    """The witness' smbd; it dies with the test."""
    host, top = bed.clients[1], bed.dir / "witness"
    with open(top / "out", "ab") as out:
        bed.witness = host.popen("smbd", "-F", "--no-process-group", "-s",
                                 top / "smb.conf", stdout=out, stderr=out)
    proc.wait_until("the witness' share", lambda: host.run(
        "smbclient", "-s", host.dir / "smb.conf",
        f"//{host.address}/witness", "-U", "nobody%witness-Pass1", "-c",
        "ls", check=False).returncode == 0, 30, 0.2)


def stop_smbd(bed):
    """All of it."""
    os.killpg(bed.witness.pid, 9)
    bed.witness.wait()


# The emulator's well-known account.
ACCOUNT = "devstoreaccount1"
KEY = ("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPT"
       "Otr/KBHBeksoGMGw==")


def azure(bed):
    """One with a third vote in blobs of azurite, on the second client's
    machine."""
    tool = subprocess.run([samba.REPO / "test/tools/azurite"], text=True,
                          capture_output=True, check=False)
    if tool.returncode != 0:
        pytest.skip(f"azurite: {tool.stderr.strip()}")
    host, top = bed.clients[1], bed.dir / "witness"
    top.mkdir()
    with open(top / "out", "ab") as out:
        bed.witness = host.popen(
            "node", f"{tool.stdout.strip()}/node_modules/azurite/dist/src/"
            "blob/main.js", "--blobHost", host.address, "--blobPort", "10000",
            "--location", top, "--silent", "--skipApiVersionCheck",
            "--disableTelemetry", stdout=out, stderr=out)
    base = f"http://{host.address}:10000/{ACCOUNT}/witness"
    proc.wait_until("a container", lambda: _container(host, base), 60, 0.5)
    auth = f"account = {ACCOUNT}\nkey = {KEY}\n"
    for path in (top / "auth", bed.dir / "bin/witness-auth"):
        path.touch(mode=0o600)
        path.write_text(auth, "utf-8")
    option = _init(lambda *argv: host.run(*argv, "--run-dir", top).stdout,
                   f"azure:{base}/bed,auth={top}/auth")
    return f"{samba.QUORUM_LOCK} {option}".replace(
        f"{top}/auth", "/bed/bin/witness-auth")


def _container(host, url):
    """Make it; our helper makes blobs only."""
    date = email.utils.formatdate(usegmt=True)
    signed = ("PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-08-06"
              f"\n/{ACCOUNT}/{ACCOUNT}/witness\nrestype:container")
    mac = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(),
                                    hashlib.sha256).digest()).decode()
    return host.run("curl", "-sS", "-f", "-X", "PUT", "-H",
                    f"x-ms-date: {date}", "-H", "x-ms-version: 2021-08-06",
                    "-H", f"Authorization: SharedKey {ACCOUNT}:{mac}", "-H",
                    "Content-Length: 0", f"{url}?restype=container",
                    check=False).returncode == 0


# each kind of third vote, for Bed.up(cluster_lock=)
THIRD = {"disk": disk, "file": shared_file, "smb": smb_share, "azure": azure}
