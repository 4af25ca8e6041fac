# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Samba the nodes run, and the configuration that they get."""

import os
import pathlib
import re
import shutil
import subprocess

from . import net
from .errors import BedError

REPO = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("SOFS_BUILD", REPO / "build"))
DEV_PREFIX = "/var/cache/sofs/dev/prefix"

# name: (uid, password); the group of the same name has the same number.
USERS = {"alice": (2001, "alice-Pass1"), "bob": (2002, "bob-Pass2"),
         "admin": (2003, "admin-Pass3")}

SHIPPED_TUNABLES = REPO / "examples/ctdb.tunables"
# What a cluster gets, and what makes tests shorter.
TUNABLES = {**dict(re.findall(r"^(\w+)=(\d+)$", SHIPPED_TUNABLES.read_text(
                "utf-8"), re.MULTILINE)),
            "ElectionTimeout": 1, "RerecoveryTimeout": 1,
            "MonitorInterval": 5, "RecoveryBanPeriod": 20,
            "TickleUpdateInterval": 5}
# CTDB's own, for healthy nodes: 60 processes each time. A node that comes up
# has the shorter one, since takeover runs cancel its first monitor events.
CALM_MONITOR_S = 15

EVENT_SCRIPTS = ("00.ctdb", "01.reclock", "10.interface",
                 "47.samba-dcerpcd", "50.samba", "95.database")

GLOBALS = {
    "netbios name": "SOFS",
    "workgroup": "BED",
    "server role": "standalone server",
    "clustering": "yes",
    "smb ports": "445",
    "log file": "/bed/log/samba.log",
    "log level": "1",
    "debug pid": "yes",
    "max log size": "0",
    "csv:ocf functions": str(REPO / "csvd/ocf"),
    "persistent handles": "yes",
    "persistent handles durability": "partial_outage",
    "rpc start on demand helpers": "no",
    "rpcd witness:include node ips": "yes",
    "rpcd_witness:num_workers": "64",
    "kernel share modes": "no",
    "kernel oplocks": "no",
    "kernel change notify": "no",
    "posix locking": "no",
    "ea support": "yes",
    "load printers": "no",
    "printcap name": "/dev/null",
    "disable spoolss": "yes",
    "admin users": "admin",
}

# Services of the event scripts, without an init system in the node.
SERVICE = """#!/bin/sh
# start|stop|status of the daemons that CTDB's event scripts drive
pidfile="{prefix}/var/run/$1.pid"
alive() {{
	[ -s "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null
}}
case "$1.$2" in
smbd.start) smbd -D ;;
samba-dcerpcd.start) "{prefix}/libexec/samba/samba-dcerpcd" \\
	-D --libexec-rpcds ;;
*.status) alive ;;
*.stop)
	alive || exit 0
	pid=$(cat "$pidfile")
	kill "$pid"
	n=0
	while kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	[ $n -lt 100 ] || kill -9 "$pid"
	;;
esac
"""

FILE_LOCK = "/shared/.ctdb/lock"
QUORUM_LOCK = "!/bed/bin/csv_quorum_helper"

SCRIPT_OPTIONS = """CTDB_CSV_QUORUM_LOG=/bed/log/quorum.log
CTDB_CSV_CSVD_OPTIONS="-l /bed/log/csvd.log"
CTDB_SAMBA_SKIP_SHARE_CHECK=yes
CTDB_SAMBA_CHECK_PORTS="tcp:445"
_service()
{
	[ -z "$1" ] || /bed/etc/service "$1" "$2"
}
"""


def find_prefix(wanted=None):
    """The Samba prefix to use; BedError when it has no ctdbd and smbd."""
    wanted = wanted or os.environ.get("SOFS_SAMBA_PREFIX") or _ask_make() \
        or DEV_PREFIX
    prefix = pathlib.Path(wanted).resolve()
    for need in ("sbin/ctdbd", "sbin/smbd", "bin/ctdb", "etc/ctdb/functions",
                 "libexec/samba/samba-dcerpcd", "private", "var"):
        if not (prefix / need).exists():
            raise BedError(f"no usable Samba in {prefix}: {need} is missing; "
                           "give --samba or SOFS_SAMBA_PREFIX")
    return prefix


def is_published(prefix):
    """Is it without our patches (samba/stock)?"""
    library = prefix / "lib/private/libsmbd-base-private-samba.so"
    return b"smbd_conn_park" not in library.read_bytes()


def _ask_make():
    if not (REPO / "Makefile").exists():
        return None
    proc = subprocess.run(["make", "-s", "-C", str(REPO), "samba-prefix"],
                          capture_output=True, text=True, check=False)
    path = proc.stdout.strip()
    usable = proc.returncode == 0 and "\n" not in path \
        and os.path.exists(f"{path}/sbin/smbd")
    return path if usable else None


def cluster_lock():
    """What ctdb.conf gets unless the test says otherwise."""
    helper = BUILD / "bin/csv_quorum_helper"
    return QUORUM_LOCK if helper.exists() else FILE_LOCK


def path_of(prefix, extra="/bed/bin"):
    """PATH for commands in a node."""
    return (f"{extra}:{prefix}/bin:{prefix}/sbin:"
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def _conf(globals_):
    lines = [f"\t{key} = {value}" for key, value in globals_.items()]
    return "\n".join(["[global]", *lines, "\tregistry shares = yes",
                      "\tinclude = registry", ""])


def _ctdb_conf(node, cluster_lock):
    return f"""[logging]
	location = file:/bed/log/log.ctdb
	log level = NOTICE
[cluster]
	leader timeout = 3
	cluster lock = {cluster_lock}
	node address = {net.cluster_address(node)}
[database]
	volatile database directory = /run/ctdb-volatile
"""


def _accounts(node_dir):
    passwd = pathlib.Path("/etc/passwd").read_text(encoding="utf-8")
    group = pathlib.Path("/etc/group").read_text(encoding="utf-8")
    for user, (uid, _) in USERS.items():
        passwd += f"{user}:x:{uid}:{uid}:{user}:/tmp:/usr/sbin/nologin\n"
        group += f"{user}:x:{uid}:\n"
    (node_dir / "hostetc/passwd").write_text(passwd, encoding="utf-8")
    (node_dir / "hostetc/group").write_text(group, encoding="utf-8")


def _host_names(node_dir, node, nodes):
    lines = ["127.0.0.1 localhost"]
    lines += [f"{net.cluster_address(n)} node{n}"
              for n in range(1, nodes + 1)]
    text = "\n".join(lines) + "\n"
    (node_dir / "hostetc/hosts").write_text(text, encoding="utf-8")
    (node_dir / "hostetc/hostname").write_text(f"node{node}\n",
                                               encoding="utf-8")


def _event_scripts(prefix, ctdb_etc):
    legacy = ctdb_etc / "events/legacy"
    shutil.rmtree(legacy, ignore_errors=True)
    legacy.mkdir(parents=True)
    for script in EVENT_SCRIPTS:
        shutil.copy2(prefix / f"share/ctdb/events/legacy/{script}.script",
                     legacy)
    for source in (REPO / "ctdb-events").iterdir():
        shutil.copy2(source, legacy)
    for script in legacy.glob("*.script"):
        script.chmod(0o755)


def _quorum_key(path, key):
    """What csv_quorum_helper --genkey makes, the same on every node."""
    path.touch(mode=0o600)
    path.write_text(f"csvq1 1 {key}\n", encoding="utf-8")


def write_config(node_dir, node, config):
    """Write all files that a node's /etc and Samba's etc consist of.

    config: the bed's dict (prefix, nodes, globals, tunables, cluster_lock,
    quorum_key).
    """
    prefix = pathlib.Path(config["prefix"])
    etc = node_dir / "etc"
    ctdb_etc = etc / "ctdb"
    (node_dir / "hostetc").mkdir(exist_ok=True)
    shutil.rmtree(etc)
    shutil.copytree(prefix / "etc", etc, symlinks=True)
    _event_scripts(prefix, ctdb_etc)
    _quorum_key(ctdb_etc / "csv_quorum.key", config["quorum_key"])
    everyone = range(1, config["nodes"] + 1)
    texts = {
        etc / "smb.conf": _conf({**GLOBALS, **config["globals"]}),
        etc / "service": SERVICE.format(prefix=prefix),
        ctdb_etc / "ctdb.conf": _ctdb_conf(node, config["cluster_lock"]),
        ctdb_etc / "script.options": SCRIPT_OPTIONS,
        ctdb_etc / "nodes": "".join(
            f"{net.cluster_address(n)}\n" for n in everyone),
        ctdb_etc / "public_addresses": "".join(
            f"{net.public_address(n)}/24 eth0\n" for n in everyone),
        ctdb_etc / "ctdb.tunables": "".join(
            f"{k}={v}\n"
            for k, v in {**TUNABLES, **config["tunables"]}.items()),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    (etc / "service").chmod(0o755)
    _accounts(node_dir)
    _host_names(node_dir, node, config["nodes"])


def snapshot_binaries(bed_dir):
    """Copy our modules and programs, so that a rebuild disturbs no bed."""
    for source, target in ((BUILD / "modules", bed_dir / "modules"),
                           (BUILD / "bin", bed_dir / "bin"),
                           (BUILD / "test", bed_dir / "bin")):
        target.mkdir(exist_ok=True)
        if not source.is_dir():
            continue
        for item in source.iterdir():
            if item.is_file():
                _replace(item, target / item.name)


def _replace(source, target):
    fresh = target.with_name(f".{target.name}.new")
    shutil.copy2(source, fresh)
    os.replace(fresh, target)
