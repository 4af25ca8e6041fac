# SPDX-License-Identifier: GPL-3.0-or-later
"""smb3client running beside a test: streams, locks, operations."""

import json
import os
import select
import subprocess
import threading
import time

from bed import moved, proc
from bed.errors import BedError
from bed.samba import USERS


class Running:
    """A mode of smb3client: ``with Running(...) as r:`` until the block ends.

    Afterwards r.report is the client's JSON report.
    """

    def __init__(self, client, mode, share, path, nodes, user="alice",
                 options=(), ready_s=90):
        addresses = [getattr(node, "address", node) for node in nodes]
        self.client, self.mode, self.report = client, mode, None
        self._share = share
        self._path = client.dir / f"{mode}-{os.getpid()}-{id(self):x}.json"
        self._argv = ["smb3client", mode, f"//SOFS/{share}/{path}",
                      "--addresses", ",".join(addresses), "--user", user,
                      "--control", "-", "--report", self._path, *options]
        self._word, self._ready_s = USERS[user][1], ready_s
        self._child = None
        self._errors = b""
        self._asking = threading.Lock()

    def start(self):
        """Start and wait until the file is open."""
        os.environ["SMB3CLIENT_PASSWORD"] = self._word
        self._child = self.client.popen(
            *self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, bufsize=0)
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        self._answer("ready", self._ready_s)
        return self

    def _read_errors(self):
        for line in self._child.stderr:
            self._errors += line

    def _answer(self, word, timeout):
        end = time.monotonic() + timeout
        line = b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._child.stdout], [], [],
                                              left)[0]:
                self.kill()
                raise BedError(f"{self.mode}: no {word} within {timeout} s: "
                               + self._errors.decode(errors="replace"))
            byte = self._child.stdout.read(1)
            if not byte:
                raise self._early_end()
            line += byte
        answer = json.loads(line)
        if answer["answer"] != word:
            raise BedError(f"{self.mode}: {word} expected: {answer}")
        return answer

    def _early_end(self):
        """What is known of the client's end, which nobody asked for."""
        self._child.wait()
        self._reader.join(5)
        said = f"exit {self._child.returncode}, {self.said()}"
        if self._path.exists():
            said += str(json.loads(self._path.read_text("utf-8"))
                        .get("error_list"))
        return BedError(f"{self.mode} ended early: {said}")

    def command(self, text, word, timeout=10):
        """One command; its answer, which must be this word."""
        with self._asking:
            try:
                self._child.stdin.write(text.encode() + b"\n")
            except BrokenPipeError:
                raise self._early_end() from None
            return self._answer(word, timeout)

    def mark(self, name):
        """A new event begins."""
        return self.command(f"mark {name}", "marked")

    def status(self):
        """What the client says of itself: blocks_written, silent_ms …"""
        return self.command("status", "status")

    def running(self):
        """False once the client gave up."""
        return self._child.poll() is None

    def said(self):
        """What it printed as errors so far, at most the last 2000
        characters."""
        return self._errors.decode(errors="replace")[-2000:]

    def kill(self):
        """The client dies at once; no report."""
        if self._child is not None and self._child.poll() is None:
            self.client.bed.moved.append(
                moved.Moved(self._share, None, whole=False))
            self._child.kill()
            self._child.wait()

    def stop(self, timeout=180):
        """End writing, read back; returns the report."""
        try:
            self._child.stdin.write(b"stop\n")
            self._child.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BedError(f"{self.mode}: no end within {timeout} s") from None
        self._reader.join(5)
        if not self._path.exists():
            raise BedError(f"{self.mode}: exit {self._child.returncode}, no "
                           "report: " + self._errors.decode(errors="replace"))
        self.report = json.loads(self._path.read_text("utf-8"))
        self.report["exit_code"] = self._child.returncode
        self.client.bed.moved += moved.of_report(self._share, self.report)
        return self.report

    def event(self, name):
        """The last event of this name, from the report."""
        return [event for event in self.report["events"]
                if event["name"] == name][-1]

    def assert_no_error(self):
        """The client saw nothing that it did not expect."""
        assert self.report["errors"] == 0 and not self.report["exit_code"], \
            self.report.get("error_list")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()


class Stream(Running):
    """A paced write stream; gaps are counted for each mark()."""

    def __init__(self, client, share, path, nodes, verify_through=None,
                 interval_ms=10, block=4096, keep=False, more=(), **kwargs):
        options = ["--interval-ms", interval_ms, "--block", block, *more]
        if verify_through is not None:
            options += ["--verify-addresses",
                        getattr(verify_through, "address", verify_through)]
        if keep:
            options += ["--keep"]
        super().__init__(client, "stream", share, path, nodes,
                         options=options, **kwargs)

    def go(self, address):
        """Leave the node for another one, as a witness says."""
        try:
            self.command(f"move {address}", "moving")
        except (BedError, BrokenPipeError, ValueError):
            pass                # it has ended meanwhile

    def more_blocks(self, blocks=20, timeout=30):
        """Wait until it has gone on."""
        start = self.status()["blocks_written"]
        proc.wait_until(f"{blocks} more blocks", lambda: self.status()
                        ["blocks_written"] >= start + blocks, timeout, 0.1)

    def gap_ms(self, name):
        """Longest gap of an event, from the report."""
        return max(event["longest_gap_ms"] for event in self.report["events"]
                   if event["name"] == name)

    def assert_whole(self):
        """Nothing failed, was lost or doubled, and something was written."""
        r = self.report
        bad = {key: r[key] for key in
               ("errors", "blocks_lost", "blocks_doubled", "blocks_corrupt",
                "other_blocks_lost", "other_blocks_doubled",
                "other_blocks_corrupt", "exit_code") if r.get(key)}
        assert not bad, f"{bad}: {r.get('error_list')}"
        assert r["blocks_written"] > 0
        assert r["blocks_verified"] == r["blocks_written"]
