# SPDX-License-Identifier: GPL-3.0-or-later
"""A world of stubs for an event script: programs that log how they were
called, ctdb's own functions file from the Samba tree."""

import os
import pathlib
import shutil
import subprocess
import time

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = REPO / "ctdb-events"
DEV_PREFIX = "/var/cache/sofs/dev/prefix"


def functions_file():
    """ctdb's functions for event scripts, as installed."""
    named = os.environ.get("SOFS_SAMBA_PREFIX")
    if not named and (REPO / "Makefile").exists():
        out = subprocess.run(["make", "-s", "-C", str(REPO), "samba-prefix"],
                             capture_output=True, text=True, check=False)
        named = out.stdout.strip() if out.returncode == 0 else None
    for prefix in filter(None, (named, DEV_PREFIX)):
        found = pathlib.Path(prefix) / "etc/ctdb/functions"
        if found.exists():
            return found
    pytest.skip("no Samba is built")
    return None


class World:
    """A CTDB_BASE with one script, a run directory, and stubs on the PATH."""

    ctdb = "false"

    def __init__(self, path, script):
        self.path, self.script = path, script
        self.calls_file = path / "calls"
        for name in ("bin", "run", "var", "base/events/legacy"):
            (path / name).mkdir(parents=True)
        shutil.copy(functions_file(), path / "base/functions")
        shutil.copy(SCRIPTS / f"{script}.script", path / "base/events/legacy")
        self.daemons = []

    def stub(self, name, body):
        """A program that logs its arguments, then does body."""
        stub = self.path / "bin" / name
        stub.write_text("#!/bin/sh\n"
                        f"echo \"{name} $*\" | sed 's/ $//' "
                        f">>'{self.calls_file}'\n"
                        f"{body}\n", encoding="utf-8")
        stub.chmod(0o755)

    def options(self, text):
        """The options file beside the script."""
        (self.path / f"base/events/legacy/{self.script}.options").write_text(
            text, encoding="utf-8")

    def running_csvd(self):
        """A process that stands for csvd's supervisor; notes SIGUSR1."""
        seen = self.path / "usr1"
        child = subprocess.Popen(
            ["/usr/bin/python3", "-c",
             "import signal,pathlib\n"
             "signal.signal(signal.SIGUSR1,lambda *_:"
             f"pathlib.Path({str(seen)!r}).touch())\n"
             "print('ready',flush=True)\n"
             "while True: signal.pause()"],
            stdout=subprocess.PIPE)
        child.stdout.readline()
        self.daemons.append(child)
        (self.path / "run/csvd.pid").write_text(f"{child.pid}\n",
                                                encoding="utf-8")
        return child

    def event(self, *args, path=None):
        """Run the script; (exit code, output, seconds)."""
        env = {"PATH": path or
               f"{self.path}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "CTDB_BASE": str(self.path / "base"),
               "CTDB_SCRIPT_VARDIR": str(self.path / "var"),
               "CTDB_CSV_RUN_DIR": str(self.path / "run"),
               "CTDB": self.ctdb,
               "CTDB_LOGGING": f"file:{self.path}/log",
               # ctdb-config reads the CTDB_BASE above only in this mode
               "CTDB_TEST_MODE": "yes"}
        began = time.monotonic()
        done = subprocess.run(
            [f"{self.path}/base/events/legacy/{self.script}.script", *args],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=60)
        return done.returncode, done.stdout, time.monotonic() - began

    def calls(self):
        """How the stubs were called so far."""
        if not self.calls_file.exists():
            return []
        return self.calls_file.read_text("utf-8").splitlines()

    def cluster_lock(self, text):
        """What ctdb.conf says, through CTDB's own reader."""
        (self.path / "base/ctdb.conf").write_text(
            f"[cluster]\n\tcluster lock = {text}\n" if text else "",
            encoding="utf-8")

    def wait_call(self, call, timeout=5):
        """Wait until a stub was called like this (it is in the background)."""
        end = time.monotonic() + timeout
        while call not in self.calls():
            assert time.monotonic() < end, self.calls()
            time.sleep(0.01)

    def saw_usr1(self, timeout=5):
        """Did the running csvd get SIGUSR1?"""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if (self.path / "usr1").exists():
                return True
            time.sleep(0.01)
        return False

    def close(self):
        """End what was started."""
        for child in self.daemons:
            child.kill()
            child.wait()
            child.stdout.close()


@pytest.fixture
def world(tmp_path):
    """45.csv's surroundings."""
    made = World(tmp_path, "45.csv")
    made.stub("csvd", "exit 0")
    made.stub("sofs", "exit 0")
    yield made
    made.close()
