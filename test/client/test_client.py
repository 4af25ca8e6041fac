# SPDX-License-Identifier: GPL-3.0-or-later
"""What the test client promises: it comes back, and it sees faults."""
import json
import os
import signal
import subprocess
import time

import pytest

from smbd_alone import CLIENT, PASSWORD, USER, wait_for

BLOCK = 4096
SILENT_MS = 1000   # shorter than what ECHO notices


class Run:
    """smb3client inside the server's network namespace."""

    def __init__(self, server, mode, path, *options, share="ca"):
        self.report_path = server.top / f"{mode}.json"
        self.answers = []
        # pylint: disable=consider-using-with
        self.child = subprocess.Popen(
            ["nsenter", "-t", str(server.init), "-n", str(CLIENT), mode,
             f"//127.0.0.1/{share}/{path}", "--user", USER, "--report",
             str(self.report_path), "--verbose", *map(str, options)],
            env=dict(os.environ, SMB3CLIENT_PASSWORD=PASSWORD), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def answer(self, word):
        line = self.child.stdout.readline()
        assert line, f"no answer, exit {self.child.wait(10)}"
        answer = json.loads(line)
        assert answer["answer"] == word, answer
        return answer

    def command(self, text, word):
        self.child.stdin.write(text + "\n")
        self.child.stdin.flush()
        return self.answer(word)

    def blocks(self):
        return self.command("status", "status")["blocks_written"]

    def wait_blocks(self, more):
        goal = self.blocks() + more
        wait_for(lambda: self.blocks() >= goal)

    def stop(self):
        self.child.stdin.write("stop\n")
        self.child.stdin.flush()
        return self.end()

    def end(self):
        self.child.communicate(timeout=60)
        report = json.loads(self.report_path.read_text("utf-8"))
        report["exit_code"] = self.child.returncode
        return report

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


def stream(server, *options):
    run = Run(server, "stream", "s.bin", "--control", "-", "--keep", *options)
    run.answer("ready")
    return run


def assert_whole(report):
    assert report["errors"] == 0, report["error_list"]
    assert report["blocks_lost"] == report["blocks_doubled"] == 0
    assert report["blocks_verified"] == report["blocks_written"] > 0
    assert report["exit_code"] == 0


def gap(report, name):
    return max(e["longest_gap_ms"] for e in report["events"]
               if e["name"] == name)


@pytest.mark.parametrize("options", [(), ("--sign",), ("--encrypt",)],
                         ids=["as_offered", "signed", "encrypted"])
def test_killed_child_is_a_gap_and_nothing_else(server, options):
    with stream(server, *options) as run:
        run.wait_blocks(20)
        pid = server.client_process()[0]
        os.kill(pid, signal.SIGSTOP)
        run.command("mark kill", "marked")
        time.sleep(SILENT_MS / 1000)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: run.command("status", "status")["reconnects"] == 1)
        run.wait_blocks(20)
        report = run.stop()
    assert_whole(report)
    assert report["persistent_granted"]
    assert report["handles_reconnected"] == report["reconnects"] == 1
    assert report["connection_failures"]
    assert SILENT_MS / 2 < gap(report, "kill") == report["longest_gap_ms"]
    assert gap(report, "start") < gap(report, "kill") < 5000


def test_restart_of_the_whole_server(server):
    with stream(server) as run:
        run.wait_blocks(20)
        server.stop(signal.SIGKILL)
        run.command("mark restart", "marked")
        server.start()
        wait_for(lambda: run.command("status", "status")["reconnects"] == 1)
        run.wait_blocks(20)
        report = run.stop()
    assert_whole(report)
    assert report["handles_reconnected"] == 1


def test_forgotten_handle_is_final(server):
    """A server that lost its databases does not know the handle. The client
    takes the answer as final and says so; what it was told is written is
    there."""
    with stream(server) as run:
        run.wait_blocks(20)
        server.stop(signal.SIGKILL)
        for path in (server.top / "lock").glob("*.tdb"):
            path.unlink()
        server.start()
        report = run.end()
    assert report["exit_code"] == 1
    assert report["reconnects"] == report["handles_lost"] == 1
    assert "NT_STATUS_OBJECT_NAME_NOT_FOUND" in report["error_list"][0]
    assert not report["retried_status"]
    again = verify(server, report)
    assert again["blocks_verified"] == report["blocks_written"] >= 20
    assert again["blocks_lost"] == 0


def test_read_back_through_another_address(server):
    """Read back through another address, too."""
    with stream(server, "--verify-addresses", "127.0.0.2") as run:
        run.wait_blocks(20)
        report = run.stop()
    assert_whole(report)
    assert report["other_blocks_verified"] == report["blocks_written"]


def test_silent_server_is_noticed_by_echo(server):
    """A stopped smbd says nothing: ECHO finds out within about 2 s."""
    with stream(server) as run:
        run.wait_blocks(5)
        pid = server.client_process()[0]
        os.kill(pid, signal.SIGSTOP)
        run.command("mark stopped", "marked")
        wait_for(lambda: run.command("status", "status")["silent_ms"] > 2600)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: run.command("status", "status")["reconnects"] == 1)
        report = run.stop()
    assert_whole(report)
    assert report["connection_failures"]["NT_STATUS_IO_TIMEOUT"] >= 1


def test_next_address_of_the_list(server):
    with stream(server, "--addresses", "127.0.0.9:1,127.0.0.2") as run:
        run.wait_blocks(5)
        report = run.stop()
    assert_whole(report)
    assert report["links"][0]["address"] == "127.0.0.2"
    assert "NT_STATUS_CONNECTION_REFUSED" in report["connection_failures"]


def test_told_to_move_while_it_connects(server):
    """To an address that does not answer: it goes where it is told to."""
    server.run("nft", "add table ip silent; add chain ip silent in "
               "{ type filter hook input priority 0; }; "
               "add rule ip silent in ip daddr 127.0.0.9 drop")
    with stream(server, "--addresses", "127.0.0.2,127.0.0.9") as run:
        run.wait_blocks(5)
        run.command("move 127.0.0.9", "moving")
        time.sleep(0.2)
        run.command("move 127.0.0.2", "moving")
        wait_for(lambda: run.command("status", "status")["reconnects"] == 1)
        run.wait_blocks(5)
        report = run.stop()
    assert_whole(report)
    assert report["moves"] == 2 and report["longest_gap_ms"] < 1000


def verify(server, stream_report):
    path = server.top / "of-stream.json"
    path.write_text(json.dumps(stream_report))
    with Run(server, "verify", "s.bin", "--stream-report", path) as run:
        return run.end()


def flip_byte(data):
    data[3 * BLOCK + 1000] ^= 1
    return data


def drop_block(data):
    data[5 * BLOCK:6 * BLOCK] = bytes(BLOCK)
    return data


def drop_last(data):
    return data[:-BLOCK]


def double_block(data):
    data[7 * BLOCK:8 * BLOCK] = data[2 * BLOCK:3 * BLOCK]
    return data


def append_again(data):
    return data + data[-BLOCK:]


def half_block(data):
    return data + b"x" * 100


@pytest.mark.parametrize("fault, found", [
    (flip_byte, {"blocks_lost": 1, "blocks_corrupt": 1}),
    (drop_block, {"blocks_lost": 1, "blocks_corrupt": 0}),
    (drop_last, {"blocks_lost": 1, "blocks_doubled": 0}),
    (double_block, {"blocks_lost": 1, "blocks_doubled": 1}),
    (append_again, {"blocks_lost": 0, "blocks_doubled": 1}),
    (half_block, {"blocks_lost": 0, "blocks_corrupt": 1}),
], ids=lambda value: getattr(value, "__name__", ""))
def test_fault_on_disk_is_found(server, fault, found):
    with stream(server, "--interval-ms", 0) as run:
        run.wait_blocks(50)
        report = run.stop()
    assert_whole(report)
    good = verify(server, report)
    assert good["exit_code"] == 0, good
    assert good["blocks_verified"] == report["blocks_written"]

    path = server.top / "data/s.bin"
    path.write_bytes(fault(bytearray(path.read_bytes())))
    bad = verify(server, report)
    assert bad["exit_code"] == 1
    assert bad["errors"] > 0
    assert {key: bad[key] for key in found} == found


def test_handle_that_cannot_come_back_is_an_error(server):
    """A plain share grants no persistent handle: the stream must fail."""
    with Run(server, "stream", "s.bin", "--control", "-", share="plain") as run:
        run.answer("ready")
        run.wait_blocks(5)
        os.kill(server.client_process()[0], signal.SIGKILL)
        report = run.end()
    assert not report["persistent_granted"]
    assert report["handles_lost"] == 1
    assert report["errors"] > 0
    assert report["exit_code"] == 1


def test_locks_hold_and_are_seen_to(server):
    with Run(server, "locks", "l.bin", "--control", "-") as run:
        run.answer("ready")
        assert run.command("check", "checked")["stolen"] == 0
        report = run.stop()
    assert report["exit_code"] == 0, report["error_list"]
    assert report["persistent_granted"]
    assert report["probes_refused"] == report["probes"] == 3 * report["ranges"]
    assert report["ranges_free_after_unlock"] == report["ranges"]


def test_locks_when_their_smbd_is_killed(server):
    """Either they hold, or the report says which did not: Samba 4.25.0 as
    released lets another client steal them before the reconnect."""
    with Run(server, "locks", "l.bin", "--control", "-") as run:
        run.answer("ready")
        os.kill(min(server.client_process()), signal.SIGKILL)
        wait_for(lambda: run.command("check", "checked")["reconnects"] == 1)
        report = run.stop()
    assert report["handles_reconnected"] == 1
    assert report["exit_code"] == (1 if report["ranges_stolen"] else 0)
    assert ("not locked any more" in str(report["error_list"])) == bool(
        report["ranges_stolen"])


def test_operations_have_their_known_answers(server):
    with Run(server, "ops", "mix", "--control", "-", "--count", 100,
             "--interval-ms", 2) as run:
        run.answer("ready")
        wait_for(lambda: run.command("status", "status")["rounds"] >= 2)
        report = run.stop()
    assert report["exit_code"] == 0, report["error_list"]
    assert report["listings"] >= 1
    assert report["operations"] == 11 * report["rounds"]
    assert not any((server.top / "data").iterdir())


def unread_bytes(server):
    """What the server's end of the connection has not read."""
    return sum(int(line.split()[0]) for line in server.run(
        "ss", "-Htn", "state", "established", "sport = :445").splitlines())


@pytest.mark.parametrize("made", [False, True])
def test_create_in_flight_when_smbd_dies(server, made):
    """The create of a directory is replayed. If smbd had not read it, it is a
    first one, without an error. If the directory is there, which is all that
    an smbd leaves that dies between making it and storing the handle, the
    server refuses (without vfs_ca, test/ca/test_intent.py), and the client
    takes that as final and says so."""
    folder = server.top / "data/mix/round-1"
    with Run(server, "ops", "mix", "--control", "-", "--count", 10,
             "--interval-ms", 1) as run:
        run.answer("ready")
        run.command("hold", "held")
        pid = server.client_process()[0]
        os.kill(pid, signal.SIGSTOP)
        run.command("go", "status")
        # More than ECHO, of which there is one at most.
        wait_for(lambda: unread_bytes(server) > 100)
        assert not folder.exists()
        if made:
            folder.mkdir()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: run.command("status", "status")["rounds"] >= 3)
        if made:
            folder.rmdir()
        report = run.stop()
    assert report["reconnects"] == 1 and report["replays"] >= 1
    assert not report["retried_status"]
    assert report["error_list"] == (
        ["round 1, mkdir: NT_STATUS_OBJECT_NAME_COLLISION"] if made else [])
    assert report["exit_code"] == int(made)


def test_wrong_answer_is_seen(server):
    """A file that vanishes below the server fails the operation on it."""
    with Run(server, "ops", "mix", "--control", "-", "--count", 50,
             "--interval-ms", 20) as run:
        run.answer("ready")
        wait_for(lambda: [p.unlink() for p in
                          (server.top / "data").glob("mix/round-*/renamed")])
        report = run.stop()
    assert report["exit_code"] == 1
    assert report["errors"] >= 1


def test_echo_other_share_and_lease_break_beside_many_requests(server):
    with Run(server, "outstanding", "o.bin", "--control", "-", "--more-shares",
             "plain", "--count", 50) as run:
        run.answer("ready")
        run.command("mark break", "marked")
        with Run(server, "locks", "o.bin-leased", "--control", "-", "--keep",
                 share="plain") as other:
            other.answer("ready")
            assert other.stop()["exit_code"] == 0
        state = run.command("status", "status")
        assert state["lease_breaks"] >= 1 and state["outstanding"] == 50
        report = run.stop()
    assert report["exit_code"] == 0, report["error_list"]
    assert report["lease_granted"]
    event = report["events"][1]
    assert event["name"] == "break"
    assert event["echoes"] > 0 and event["other_ios"] > 0
    assert event["completed"] > 50 and event["least_outstanding"] == 50
    assert 0 < event["longest_break_ack_ms"] < 5000


def test_stopped_server_shows_in_every_number(server):
    """The numbers are measured: half a second of SIGSTOP is in all of them."""
    with Run(server, "outstanding", "o.bin", "--control", "-", "--more-shares",
             "plain", "--echo-timeout-ms", 20000) as run:
        run.answer("ready")
        run.command("mark stopped", "marked")
        pid = server.client_process()[0]
        os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        wait_for(lambda: time.monotonic() - start > 0.5)
        os.kill(pid, signal.SIGCONT)
        before = run.command("status", "status")["echoes"]
        wait_for(lambda: run.command("status", "status")["echoes"]
                 > before + 2)
        report = run.stop()
    assert report["exit_code"] == 0, report["error_list"]
    assert report["reconnects"] == 0
    event = report["events"][1]
    assert event["longest_request_ms"] > 400
    assert max(event["longest_echo_ms"], event["longest_other_io_ms"]) > 400


def test_many_sessions_and_handles(server):
    with Run(server, "many", "m", "--control", "-", "--sessions", 4,
             "--count", 40) as run:
        ready = run.answer("ready")
        assert ready["handles"] == 40 and ready["sessions"] == 4
        assert len(list((server.top / "data").glob("m-*"))) == 40
        assert len(server.client_process()) == 4
        report = run.stop()
    assert report["exit_code"] == 0, report["error_list"]
    assert not list((server.top / "data").glob("m-*"))
