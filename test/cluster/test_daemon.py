# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator does to a running csvd: another configuration, an
end. Clients notice nothing, or a planned move."""

import pytest

from bed import BedError, proc
from drive import Stream
from drive.promised import move_limit_ms

COUNTING_AGENT = """#!/bin/sh
echo "$1" >>/shared/ocf/calls
OCF_ROOT=/usr/lib/ocf
export OCF_ROOT
exec /usr/lib/ocf/resource.d/heartbeat/Filesystem "$@"
"""


def signal_csvd(node, name):
    """As a service manager does it."""
    node.run("sh", "-c", f"kill -{name} $(cat /run/csvd/csvd.pid)")


def wait_ended(node, pids):
    """Until these processes are gone; says what one that does not end does.
    Another csvd may be there by then, started by CTDB's monitor event."""
    def left():
        return [pid for pid in node.pids("csvd") if pid in pids]
    try:
        proc.wait_until("csvd has ended", lambda: not left(), 20, 0.1)
    except BedError:
        for pid in left():
            print(*proc.stacks(pid), sep="\n")
        print(node.log("csvd.log")[-4000:])
        raise


@pytest.fixture(name="calls")
def _calls(bed):
    """How often node1's csvd, told to use another root of the agents, has
    called its Filesystem agent; the smb.conf is put right again."""
    agent = bed.dir / "shared/ocf/resource.d/heartbeat/Filesystem"
    agent.parent.mkdir(parents=True, exist_ok=True)
    agent.write_text(COUNTING_AGENT, "ascii")
    agent.chmod(0o755)
    log = bed.dir / "shared/ocf/calls"
    log.write_text("", "ascii")
    conf = bed.node(1).dir / "etc/smb.conf"
    text = conf.read_text("utf-8")
    conf.write_text(text.replace("[global]\n", "[global]\n"
                                 "\tcsv:ocf root = /shared/ocf\n"
                                 "\tcsv:monitor interval = 1\n"), "utf-8")
    yield lambda: log.read_text("ascii").split().count("monitor")
    conf.write_text(text, "utf-8")
    signal_csvd(bed.node(1), "HUP")


def test_configuration_is_read_again(bed, volume, calls):
    """SIGHUP: another monitor interval and another place of the agents are
    used from then on; nothing else changes."""
    epoch = volume.epoch()
    with Stream(bed.client, "vms", "hup", [bed.node(2)],
                verify_through=bed.node(3)) as stream:
        assert calls() == 0
        signal_csvd(bed.node(1), "HUP")
        proc.wait_until("the new agent is asked every second",
                        lambda: calls() >= 3, 30, 0.2)
        stream.more_blocks()
    stream.assert_whole()
    assert stream.report["longest_gap_ms"] < 1000
    assert volume.epoch() == epoch
    volume.check(bed.node(1))


@pytest.mark.quiet(on="slow")
def test_csvd_ends_in_order(bed, volume):
    """SIGTERM of the owner's csvd: the volume is given away like in a planned
    move, nobody is fenced; the clients of its node wait for the next csvd."""
    fences = len(bed.fence_log())
    with Stream(bed.client, "vms", "term", [bed.node(2)],
                verify_through=bed.node(3)) as stream, \
            Stream(bed.clients[1], "vms", "term-there", [bed.node(1)],
                   verify_through=bed.node(3)) as there:
        epoch, pids = volume.epoch(), bed.node(1).pids("csvd")
        stream.mark("term")
        signal_csvd(bed.node(1), "TERM")
        owner = volume.wait_active(nodes=[bed.node(2)], after=epoch)
        stream.more_blocks()
        wait_ended(bed.node(1), pids)
        volume.check(owner)
        bed.node(1).start_csvd()
        volume.wait_active(owner)
        there.more_blocks()
    stream.assert_whole()
    there.assert_whole()
    assert stream.gap_ms("term") <= 2 * move_limit_ms(bed)
    assert len(bed.fence_log()) == fences
