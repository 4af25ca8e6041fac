# SPDX-License-Identifier: GPL-3.0-or-later
"""Samba's own tests of its witness service, with our cluster for theirs and
sofs_witness beside it: interfaces of each node with each other one disabled,
what clients hear when a node goes and comes, and all of `net witness`."""

import os
import shlex
import subprocess

import pytest

from bed import net, ns
from bed.samba import USERS

TESTS = "samba.tests.blackbox.rpcd_witness_samba_only"
CLASS = f"{TESTS}.RpcdWitnessSambaTests"
USER = "alice"
PUBLIC = ("global", "rpcd witness:include public ips")
# In check, one of each group that takes seconds.
SHORT = ("test_GetInterfaceList_Node0_1_disabled_NDR64",
         "test_ResourceChangeCTDB_v1_disabled_after_WNode0_RNode1_NDR32",
         "test_ResourceChangeCTDB_share_v2_disabled_after_WNode0_RNode2_NDR64")

# The tests run these, from the directory that they are started in.
ONNODE = """#!/bin/sh
# PREFIX onnode NUMBER COMMAND
case "$3" in
{nodes}
*)
	exit 1
	;;
esac
"""
NODE = """{number})
	exec {enter} sh -c "$4"
	;;"""
NET = """#!/bin/sh
exec {enter} net "$@"
"""


def script(path, text):
    """A program of the tests' directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def configure(bed, *words):
    """A change of the configuration that the service reads when it starts."""
    bed.node(1).run("net", "conf", *words)
    bed.service("samba-dcerpcd", "stop", "start")
    bed.wait_healthy()


@pytest.fixture(name="place")
def _place(bed, tmp_path):
    """That directory; the nodes' own addresses only, as Samba's cluster has
    them."""
    script(tmp_path / "ctdb/tests/local_daemons.sh", ONNODE.format(
        nodes="\n".join(NODE.format(number=node.pnn, enter=shlex.join(
            node.argv([]))) for node in bed.nodes)))
    script(tmp_path / "bin/net", NET.format(
        enter=shlex.join(bed.node(1).argv([]))))
    bed.share("witnessed", bed.shared_dir("witnessed"))
    configure(bed, "setparm", *PUBLIC, "no")
    yield tmp_path
    configure(bed, "delparm", *PUBLIC)
    bed.unshare("witnessed")


def environment(bed):
    """What the tests ask for."""
    prefix = bed.config["prefix"]
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8",
           "PYTHONPATH": f"{prefix}/lib/python3.11/site-packages",
           "SMB_CONF_PATH": bed.client.dir / "smb.conf",
           "SERVER_HOSTNAME": "SOFS", "INTERFACE_GROUP_NAME": "SOFS",
           "CLUSTER_SHARE": "witnessed", "DOMAIN": "SOFS",
           "USERNAME": USER, "PASSWORD": USERS[USER][1],
           "CTDB_PREFIX": "bed", "NUM_NODES": len(bed.nodes)}
    for node in bed.nodes:
        env[f"CTDB_SERVER_NAME_NODE{node.pnn}"] = node.name
        env[f"CTDB_IFACE_IP_NODE{node.pnn}"] = net.cluster_address(
            node.number)
    return [f"{name}={value}" for name, value in env.items()]


def run(bed, place, *names):
    """Those tests, or all; their output when one fails."""
    done = subprocess.run(
        ns.enter_argv(bed.client.pid, "n") + ["env", "-i", *environment(bed),
         "/usr/bin/python3", "-B", "-m", "unittest", "-v",
         *([f"{CLASS}.{name}" for name in names] or [TESTS])],
        cwd=place, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    print(done.stdout.splitlines()[-3:])


def test_some_of_sambas_tests(bed, place):
    """A few, for make check."""
    run(bed, place, *SHORT)


@pytest.mark.soak("minutes")
def test_all_of_sambas_tests(bed, place):
    """All."""
    run(bed, place)
