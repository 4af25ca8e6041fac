# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed: a keeper, nodes, clients, LUNs, users, shares."""

import concurrent.futures
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import time

from . import fence, lun, net, proc, remains, samba
from .client import Client
from .errors import BedError
from .node import Node, read_life, reap

KEEPER = samba.REPO / "test/cluster/bed/keeper.py"


class Bed:
    """A test bed.  ``Bed(directory)`` takes hold of one that exists."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self._keeper = None
        self.moved = []             # what clients moved (moved.py)
        self.share_volumes = {}     # which volume a share is on
        self.reload()

    def reload(self):
        """Read the configuration again (somebody else may change it)."""
        text = (self.dir / "config.json").read_text("utf-8")
        self.config = json.loads(text)
        self.nodes = [Node(self, n + 1) for n in range(self.config["nodes"])]
        self.clients = [Client(self, n + 1)
                        for n in range(self.config["clients"])]
        self.luns = {v["name"]: lun.Lun(self, **v)
                     for v in self.config["luns"]}

    def _save(self):
        fresh = self.dir / "config.json.new"
        fresh.write_text(json.dumps(self.config, indent=1), "utf-8")
        fresh.rename(self.dir / "config.json")

    # what it is

    @property
    def id(self):
        """The run's unique name."""
        return self.dir.name

    @property
    def pid(self):
        """Host process id of the bed's first process."""
        life = read_life(self.dir)
        if life is None or not proc.is_alive(life["pid"], life["start"]):
            raise BedError(f"bed {self.id} is down")
        return life["pid"]

    @property
    def has_csvd(self):
        """True when csvd was built and the bed shall run it."""
        return self.config["csvd"] and (self.dir / "bin/csvd").exists()

    @property
    def client(self):
        """The first client."""
        return self.clients[0]

    def node(self, which):
        """A node by number (from 1), name or cluster address."""
        for node in self.nodes:
            if which in (node, node.number, str(node.number), node.name,
                         node.cluster_address):
                return node
        raise BedError(f"bed {self.id} has no node {which}")

    def alive(self):
        """The nodes that are powered on."""
        return [node for node in self.nodes if node.alive]

    # from nothing to healthy and back

    @classmethod
    def up(cls, nodes=3, clients=1, volumes=0, size="2G", fstype="xfs",
           samba_prefix=None, csvd=True, csvd_args=("-F",), globals_=None,
           tunables=None, cluster_lock=None, detached=False,
           wait=True):
        """Build a bed and, with wait, return when it is healthy.

        cluster_lock: for ctdb.conf (default: csv_quorum_helper when it is
        built), or a function of the bed that makes it once LUNs and clients
        are there.  volumes: how many LUNs vol1, vol2 … to make.  The bed ends with this
        process, unless detached.
        """
        remains.sweep()
        config = {"prefix": str(samba.find_prefix(samba_prefix)),
                  "repo": str(samba.REPO), "nodes": nodes, "luns": [],
                  "clients": clients, "csvd": csvd,
                  "csvd_args": list(csvd_args), "globals": globals_ or {},
                  "tunables": tunables or {},
                  "cluster_lock": None if callable(cluster_lock)
                  else cluster_lock or samba.cluster_lock(),
                  "quorum_key": secrets.token_hex(32)}
        bed = cls._make(config, detached)
        try:
            bed._fill(volumes, size, fstype,
                      cluster_lock if callable(cluster_lock) else None)
            if wait:
                bed.wait_healthy()
        except BaseException:
            bed.keep_logs("up-failed")
            bed.down()
            raise
        return bed

    @classmethod
    def _make(cls, config, detached):
        with remains.base_lock():
            directory = remains.BASE / secrets.token_hex(3)
            directory.mkdir(mode=0o755)
            for name in ("shared", "shared/.ctdb", "bin", "modules", "lun"):
                (directory / name).mkdir()
            shutil.copytree(samba.REPO / "test/cluster/agents",
                            directory / "agents")
            (directory / "config.json").write_text(json.dumps(config),
                                                   "utf-8")
            bed = cls(directory)
            try:
                bed._start_keeper(detached)
            except BaseException:
                remains.remove(directory)
                raise
        return bed

    def _start_keeper(self, detached):
        argv = ["/usr/bin/python3", "-I", str(KEEPER), str(self.dir)]
        with open(self.dir / "keeper.log", "ab") as log:
            self._keeper = subprocess.Popen(
                argv + (["--detached"] if detached else []),
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        if self._keeper.stdout.readline() != b"ready\n":
            self._keeper.wait()
            raise BedError("the keeper did not start: "
                           + (self.dir / "keeper.log").read_text("utf-8"))
        (self.dir / "keeper.pid").write_text(str(self._keeper.pid))

    def _fill(self, volumes, size, fstype, make_lock):
        samba.snapshot_binaries(self.dir)
        for index in range(volumes):
            self._declare(f"vol{index + 1}", fstype, None).create(size)
        self._at_once(lambda c: c.start(), self.clients)
        if make_lock:
            self.config["cluster_lock"] = make_lock(self)
            self._save()
        self._at_once(lambda n: n.start(), self.nodes)
        self.wait_recovered()
        self.make_users()

    @staticmethod
    def _at_once(function, items):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(function, items))

    def down(self):
        """Take everything away.  Does nothing the second time."""
        if not self.dir.exists():
            return
        try:
            keeper = int((self.dir / "keeper.pid").read_text())
            proc.send(keeper, signal.SIGTERM)
        except (FileNotFoundError, ValueError):
            pass
        try:
            proc.wait_until(f"bed {self.id} gone",
                            lambda: not self.dir.exists()
                            or remains.is_dead(self.dir), 60)
        finally:
            if self._keeper is not None:
                if self._keeper.stdin:
                    self._keeper.stdin.close()
                self._keeper.stdout.close()
                self._keeper.wait(60)
            reap()
        if self.dir.exists():
            remains.remove(self.dir)

    # CTDB

    def flags(self, node):
        """What a node thinks of each: {number: "OK" or what is wrong}."""
        rows = [line.strip("|").split("|") for line in
                node.ctdb("-X", "status", timeout=10).splitlines()]
        names = rows[0][2:-1]
        return {int(row[0]) + 1: " ".join(
            name for name, value in zip(names, row[2:-1])
            if value == "1") or "OK" for row in rows[1:]}

    def status(self, node):
        """Recovery mode and leader: {"mode": …, "leader": number or None}.

        Needs a leader's broadcast, so it takes up to a second; without a
        leader "mode" is UNKNOWN.
        """
        out = node.run("timeout", "4", "ctdb", "status", check=False).stdout
        mode = re.search(r"^Recovery mode:(\w+)", out, re.MULTILINE)
        leader = re.search(r"^Leader:(\d+)", out, re.MULTILINE)
        return {"mode": mode.group(1) if mode else "UNKNOWN",
                "leader": int(leader.group(1)) + 1 if leader else None}

    def public_ips(self, node):
        """Who serves which public address now: {address: node number}."""
        found = {}
        for line in node.ctdb("-X", "ip", "all", check=False,
                              timeout=10).splitlines()[1:]:
            _, address, pnn, *_ = line.split("|")
            found[address] = int(pnn) + 1
        return found

    def node_at(self, address):
        """The node that clients reach there now; None: nobody knows."""
        for node in self.nodes:
            if address in (node.address, node.cluster_address):
                return node
        number = address and self.public_ips(self.alive()[0]).get(address)
        return self.node(number) if number else None

    def leader(self):
        """The node that leads the cluster, as the first living one says."""
        number = self.status(self.alive()[0])["leader"]
        return number and self.node(number)

    def wait_recovered(self, nodes=None, timeout=60):
        """Wait until these nodes' databases can be used."""
        nodes = nodes or self.alive()
        proc.wait_until("databases recovered", lambda: all(
            self.status(n)["mode"] == "NORMAL" for n in nodes), timeout, 0.2)

    def wait_healthy(self, nodes=None, timeout=60, interval=0.2):
        """Wait until each of these nodes (default: all that live) calls
        each of them OK, and they, all of them and nobody else, serve
        public addresses; the leader."""
        nodes = nodes or self.alive()
        expected = {n.number for n in nodes}

        def healthy():
            for node in nodes:
                flags = self.flags(node)
                fine = {n for n, flag in flags.items() if flag == "OK"}
                if fine != expected:
                    raise BedError(f"{node.name} says {flags}")
            status = self.status(nodes[0])
            if status["mode"] != "NORMAL":
                raise BedError("no leader, or a recovery runs")
            ips = self.public_ips(nodes[0])
            if set(ips.values()) != expected:
                raise BedError(f"public addresses: {ips}")
            return self.node(status["leader"])
        leader = proc.wait_until(f"nodes {sorted(expected)} healthy", healthy,
                                 timeout, interval)
        if self.has_csvd:
            self._wait_csvd(nodes)
        self._at_once(lambda n: n.ctdb("setvar", "MonitorInterval",
                                       samba.CALM_MONITOR_S), nodes)
        return leader

    def _wait_csvd(self, nodes):
        for node in nodes:
            proc.wait_until(
                f"{node.name}: csvd's control socket",
                lambda n=node: os.path.exists(f"{n.root}/run/csvd/csvd.sock"),
                20)

    # users and shares

    def make_users(self, node=None):
        """Put the users into the clustered passdb."""
        node = node or self.nodes[0]
        script = "".join(
            f"printf '%s\\n%s\\n' '{word}' '{word}' | "
            f"smbpasswd -s -a {user} || exit 1\n"
            for user, (_, word) in samba.USERS.items())
        proc.wait_until("users made", lambda: node.run(
            "sh", "-c", script).returncode == 0, 30, 0.5)

    def share(self, name, path, node=None, **params):
        """Add or replace a share, for all nodes, in the registry.

        Underscores in parameter names stand for spaces; names with a colon
        go through ``**{"csv:volume": "vol1"}``.
        """
        node = node or self.alive()[0]
        params = {"path": path, "read only": "no", **{
            key.replace("_", " "): value for key, value in params.items()}}
        text = "".join([f"[{name}]\n"] + [f"\t{key} = {value}\n"
                                          for key, value in params.items()])
        node.run("sh", "-c", f"cat >/tmp/share && net conf import /tmp/share "
                 f"'{name}'", data=text)
        self.share_volumes[name] = params.get("csv:volume")
        self.reload_smbd()

    def unshare(self, name, node=None):
        """Remove a share."""
        node = node or self.alive()[0]
        node.run("net", "conf", "delshare", name)
        self.reload_smbd()

    def shares(self, node=None):
        """Names of the shares in the registry."""
        node = node or self.alive()[0]
        return node.run("net", "conf", "listshares").stdout.split()

    def reload_smbd(self):
        """Let every smbd read its configuration again."""
        for node in self.alive():
            node.run("smbcontrol", "smbd", "reload-config", check=False)

    def service(self, name, *orders):
        """start, stop, status, on every node; each succeeds."""
        for node in self.nodes:
            node.service(name, *orders)

    def shared_dir(self, name, mode=0o777):
        """A directory below /shared that all nodes see; its path there."""
        path = self.dir / "shared" / name
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        return f"/shared/{name}"

    # LUNs

    def add_lun(self, name, size="2G", fstype="xfs", store=None):
        """Make one more LUN and show it to every living node."""
        disk = self._declare(name, fstype, store)
        disk.create(size)
        for node in self.alive():
            disk.attach(node)
        return disk

    def declare_lun(self, name, size, fstype=None):
        """A LUN that nodes get when they start; no file system by default."""
        disk = self._declare(name, fstype, None)
        disk.create(size)
        return disk

    def _declare(self, name, fstype, store):
        self.config["luns"].append({"name": name, "fstype": fstype,
                                    "store": store})
        self._save()
        self.luns[name] = lun.Lun(self, name, fstype, store)
        return self.luns[name]

    # fencing

    def fence_mode(self, mode, node=None):
        """How fence_bed behaves: succeed, fail, hang, or late: it says after
        LATE_S that it has succeeded, and has done nothing (for one node)."""
        modes = self._fence_modes() if node else {}
        modes[node.name if node else "all"] = mode
        fresh = self.dir / "fence.json.new"
        fresh.write_text(json.dumps(modes), "utf-8")
        fresh.rename(self.dir / "fence.json")

    def _fence_modes(self):
        try:
            return json.loads((self.dir / "fence.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}

    def fence_mode_of(self, node):
        """The mode that holds for a node."""
        modes = self._fence_modes()
        return modes.get(node.name, modes.get("all", "succeed"))

    def fence_log(self):
        """Every request that the fence server has answered."""
        path = self.dir / "fence.log"
        text = path.read_text("utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    # between tests

    def reset(self, timeout=90):
        """Bring everything back to where a fresh bed is, data aside."""
        net.set_cuts(self.pid, [], [])
        self._silent([])
        self.fence_mode("succeed")
        for disk in self.luns.values():
            disk.heal()
        for node in self.nodes:
            if node.alive:
                proc.continue_all(node.namespace("pid"))
        for node in self.nodes:
            if node.alive and node.missing():
                fence.power_off(node)
        self._at_once(lambda n: n.start(),
                      [n for n in self.nodes if not n.alive])
        self.wait_healthy(self.nodes, timeout)
        for name in self.shares():
            self.unshare(name)

    def _silent(self, names):
        (self.dir / "silent.json").write_text(json.dumps(names), "utf-8")

    # logs

    def mark(self, text):
        """Write a line into every log, so that a test's part is found."""
        line = f"==== {time.strftime('%H:%M:%S')} {text}\n"
        for path in self.dir.glob("node*/log/*"):
            if not path.is_file():
                continue
            with open(path, "a", encoding="utf-8") as handle:
                handle.write(line)

    def keep_logs(self, name):
        """Copy all logs to test-logs/NAME of the build; return that path."""
        target = samba.BUILD / "test-logs" / re.sub(r"[^\w.-]+", "_", name)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for node in self.nodes:
            if (node.dir / "log").is_dir():
                shutil.copytree(node.dir / "log", target / node.name)
                shutil.copy2(node.dir / "etc/smb.conf", target / node.name)
        for path in [*self.dir.glob("*.log"), *self.dir.glob("*.json")]:
            shutil.copy2(path, target)
        return target
