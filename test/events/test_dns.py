# SPDX-License-Identifier: GPL-3.0-or-later
"""55.sofs against stubs: what the name gets, when, and how long an event may
take whatever the DNS server does. The real server: test/cluster/test_round_robin.py."""

import re

import pytest

from dns_world import NAME, SETTLED

pytestmark = pytest.mark.patient
WORKING = ["recovered", "ipreallocated", "monitor"]
OTHER = ["init", "setup", "startup", "startrecovery", "startipreallocate",
         "takeip", "releaseip", "updateip", "shutdown", "unknown"]
QUICK = 2           # seconds; a server that hangs would take more
MESSAGE = f"""server 192.0.2.53 53
zone example.com
prereq yxrrset {NAME} IN A 10.0.0.1
prereq yxrrset {NAME} IN A 10.0.0.9
update delete {NAME} IN A
prereq nxrrset {NAME} IN AAAA
update delete {NAME} IN AAAA
update add {NAME} 30 IN A 10.0.0.1
update add {NAME} 30 IN A 10.0.0.2
update add {NAME} 30 IN A 10.0.0.3
send
"""
ALL = {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def writes(calls):
    """The calls that change something."""
    return [call for call in calls if re.match("nsupdate|net", call)]


@pytest.mark.parametrize("event", WORKING)
def test_event_makes_the_name_right(dns, event):
    """The event returns at once, the work is done behind it."""
    code, out, took = dns.event(event)
    assert (code, out) == (0, "") and took < QUICK
    dns.wait("registered", lambda: dns.registered() == ALL)


@pytest.mark.parametrize("event", OTHER)
def test_other_events_do_nothing(dns, event):
    """No process, no call."""
    assert dns.event(event, "eth0", "10.0.0.1", "24")[:2] == (0, "")
    assert dns.idle() and dns.calls() == []


@pytest.mark.parametrize("options", [{"METHOD": "none"}, {"METHOD": None},
                                     {"NAMES": ""}, {"NAMES": None}])
@pytest.mark.parametrize("event", WORKING + ["update", "queue"])
def test_without_configuration_nothing_happens(dns, event, options):
    """No method or no name: no process, no call."""
    dns.set(**options)
    assert dns.event(event)[:2] == (0, "")
    assert dns.idle() and dns.calls() == []


def test_message(dns):
    """One message, done as a whole or not at all, only while the name has what
    was seen; the key by the name of its file."""
    dns.records("10.0.0.9", "10.0.0.1")
    calls = dns.update()
    assert dns.text("messages") == MESSAGE
    dig = (f"dig -r +noall +comments +answer +tries=1 +time=1 -p 53 "
           f"@192.0.2.53 -k {dns.path}/key {NAME} A {NAME} AAAA")
    assert calls == [dig, f"nsupdate -t 1 -u 1 -r 0 -k {dns.path}/key", dig]
    assert re.fullmatch(
        rf"[-0-9]+T[:0-9]+\+[:0-9]+ 55.sofs: {NAME}: A 10.0.0.1 A 10.0.0.2 "
        r"A 10.0.0.3 instead of A 10.0.0.1 A 10.0.0.9\n", dns.text("log"))


@pytest.mark.parametrize("drained, want", [
    ("1\n", {"10.0.0.1", "10.0.0.3"}), ("2\n1\n", {"10.0.0.1"}),
    ("0\n1\n2\n", ALL), ("", ALL), ("11\n", ALL)])
def test_drained_nodes_are_left_out(dns, drained, want):
    """Those that csvd says, unless nobody were left."""
    dns.put("drained", drained)
    dns.options(dns.text("base/events/legacy/55.sofs.options") +
                f"CTDB_CSV_RUN_DIR='{dns.path}'\n")
    dns.update()
    assert dns.registered() == want


def test_a_drained_node_writes_nothing(dns):
    """It leaves that to the others."""
    dns.put("drained", "0\n")
    dns.options(dns.text("base/events/legacy/55.sofs.options") +
                f"CTDB_CSV_RUN_DIR='{dns.path}'\n")
    assert writes(dns.update()) == []


def test_nothing_is_written_where_nothing_is_wrong(dns):
    """The server is asked, and that is all."""
    dns.records(*ALL)
    assert writes(dns.update()) == [] and dns.text("log") == ""


def test_ttl(dns):
    """One that is too long is wrong, a shorter one comes from a cache."""
    dns.records(*ALL, ttl=12)
    assert writes(dns.update()) == []
    dns.records(*ALL, ttl=3600)
    assert len(writes(dns.update())) == 1
    assert dns.text("records").count(" 30 IN A ") == 3


@pytest.mark.parametrize("flag", ["disconnected", "unknown", "banned",
                                  "disabled", "unhealthy", "stopped",
                                  "inactive"])
def test_node_goes_and_comes_back(dns, flag):
    """Whatever is wrong with a node, its address goes."""
    dns.nodes(**{flag: [1]})
    dns.update()
    assert dns.registered() == ALL - {"10.0.0.2"}
    dns.nodes(partiallyonline=[1])
    dns.update()
    assert dns.registered() == ALL


def test_clients_addresses_of_both_families(dns):
    """From the file, for healthy nodes only, however they are written."""
    dns.nodes_file("# number, addresses\n\n"
                   "0 198.51.100.1 2001:DB8::0001 # first\n"
                   "1 198.51.100.2 2001:db8:0:0:0:0:0:2\n"
                   "10 198.51.100.9\n"
                   "2\t198.51.100.3\t2001:db8::3\n")
    dns.nodes(unhealthy=[2])
    dns.update()
    assert dns.registered() == {"198.51.100.1", "2001:db8:0:0:0:0:0:1",
                                "198.51.100.2", "2001:db8:0:0:0:0:0:2"}
    dns.records("2001:db8::1", "2001:db8::2", "198.51.100.1", "198.51.100.2")
    before = len(dns.calls())
    dns.update()
    assert writes(dns.calls()[before:]) == []


def test_public_addresses(dns):
    """Those that healthy nodes hold; not those that nobody or a sick one
    has."""
    dns.set(ADDRESSES="public")
    dns.put("ips", "|Public IP|Node|\n|198.51.100.11|0|\n|2001:db8::11|1|\n"
            "|198.51.100.12|2|\n|198.51.100.13|-1|\n|198.51.100.14|10|\n")
    dns.nodes(unhealthy=[2])
    dns.update()
    assert dns.registered() == {"198.51.100.11", "2001:db8:0:0:0:0:0:11"}


@pytest.mark.parametrize("bad", ["198.51.100.256", "198.51.100", "node1",
                                 "2001:db8::1::2", "2001:db8", "fe80::1%eth0",
                                 "1:2:3:4:5:6:7:8:9", "::g", "1;2.3.4"])
def test_what_is_no_address_changes_nothing(dns, bad):
    """It is said, and the name stays as it is."""
    dns.nodes_file(f"0 198.51.100.1\n1 {bad}\n")
    assert writes(dns.update()) == []
    assert dns.text("said") == "an address of a node is none\n"


def test_never_empty(dns):
    """Neither where no node is healthy nor where none has an address, nor when
    ctdb does not answer."""
    dns.records("10.0.0.7")
    dns.nodes(unhealthy=[0, 1, 2])
    assert writes(dns.update()) == []
    dns.nodes()
    dns.put("nodes")
    assert writes(dns.update()) == []
    dns.nodes()
    dns.nodes_file("7 10.0.0.7\n")
    assert writes(dns.update()) == []
    assert dns.text("said") == "no healthy node has an address\n"
    assert dns.registered() == {"10.0.0.7"}


def test_only_the_first_healthy_node_writes_at_once(dns):
    """The second and the third look later, the others not at all; a sick one
    never."""
    pauses = []
    for this in range(4):
        dns.nodes(count=5, this=this, banned=[0])
        before = len(dns.calls())
        dns.update()
        pauses.append([call for call in dns.calls()[before:]
                       if not call.startswith("ctdb")][:1])
        dns.put("records")
    assert pauses[0] == []
    assert pauses[1][0].startswith("dig")
    assert pauses[2:] == [["sleep 3"], ["sleep 6"]]
    dns.nodes(count=5, this=4, banned=[0])
    before = len(dns.calls())
    dns.update()
    assert dns.calls()[before:] == ["ctdb -X nodestatus all"]


def test_later_nodes_find_nothing_to_do(dns):
    """Because the first one has done it."""
    dns.nodes(this=1)
    dns.records(*ALL)
    assert [call.split()[0] for call in dns.update()] == ["sleep", "dig"]


@pytest.mark.parametrize("status", [
    "", SETTLED.replace("NORMAL", "RECOVERY"),
    SETTLED.replace("Leader:0", "Leader:UNKNOWN")])
def test_an_isolated_node_does_not_write(dns, status):
    """No leader, or a recovery without an end: what it sees does not count."""
    dns.nodes(disconnected=[1, 2])
    dns.put("status", status)
    dns.records(*ALL)
    assert writes(dns.update()) == []
    assert dns.text("said") == "CTDB has no leader or recovers\n"


def test_server_is_away_and_comes_back(dns):
    """It is tried again, monitor says why, the node stays healthy."""
    dns.put("away")
    assert writes(dns.update()) == []
    said = f"{NAME}: 192.0.2.53 does not answer\n"
    assert dns.text("said") == said
    dns.put("var/service/sofs/trouble", said)
    assert dns.event("monitor")[:2] == (0, f"WARNING: {said}")
    dns.wait("idle", dns.idle)
    dns.take("away")
    dns.take("gone")
    dns.update()
    assert dns.registered() == ALL
    assert dns.event("monitor")[:2] == (0, "")


def test_tried_again_within_one_process(dns):
    """Two failures, then it works: no event in between."""
    dns.stub("sleep", f"cd '{dns.path}'\n[ $(grep -c ^sleep calls) -lt 2 ] ||"
             " rm -f refusal")
    dns.put("refusal", "update failed: SERVFAIL\n")
    calls = dns.update()
    assert len(writes(calls)) == 3 and calls.count("sleep 2") == 2
    assert dns.registered() == ALL
    assert dns.text("var/service/sofs/trouble") == ""


@pytest.mark.parametrize("event, what", [("ipreallocated", "hangs"),
                                         ("monitor", "nsupdate-hangs")])
def test_hanging_server_holds_up_no_event(dns, event, what):
    """Not the first one, and none of those that come meanwhile."""
    dns.put(what)
    for _ in range(4):
        code, out, took = dns.event(event)
        assert code == 0 and took < QUICK, out
    dns.wait("said", lambda: dns.text("said"))
    assert dns.text("said") in (f"{NAME}: 192.0.2.53 does not answer\n",
                                f"{NAME}: nsupdate failed: for an unknown "
                                "reason\n")
    dns.take(what)
    dns.wait("registered", lambda: dns.registered() == ALL)


def test_events_do_not_pile_up(dns):
    """One works, one waits, and the one that waits sees what is new."""
    dns.put("hangs")
    for _ in range(6):
        dns.event("ipreallocated")
    dns.wait("at work", lambda: any(c.startswith("dig") for c in dns.calls()))
    dns.nodes(unhealthy=[2])
    dns.event("ipreallocated")
    dns.take("hangs")
    dns.wait("registered", lambda:
             dns.registered() == {"10.0.0.1", "10.0.0.2"})
    dns.wait("idle", dns.idle)
    assert len(writes(dns.calls())) == 1
    # at most three have worked: hung, again, after the update; one each
    assert len([c for c in dns.calls() if c.startswith("dig")]) <= 5


@pytest.mark.parametrize("refusal", ["NXRRSET", "YXRRSET"])
def test_crossing_another_nodes_update(dns, refusal):
    """Refused, looked at again; no failure where the other one was right."""
    dns.put("refusal", f"update failed: {refusal}\n")
    dns.stub("sleep", f"cd '{dns.path}'\ncp var/service/sofs/trouble said\n"
             + "".join(f"echo {NAME} 30 IN A {one} >>records\n"
                       for one in ALL))
    assert len(writes(dns.update())) == 1
    assert dns.text("said").endswith("its addresses have changed meanwhile\n")
    assert dns.text("var/service/sofs/trouble") == ""


@pytest.mark.parametrize("words, said", [
    ("update failed: REFUSED", "REFUSED"),
    ("; TSIG error with server: tsig indicates error\n"
     "update failed: NOTAUTH(BADKEY)", "NOTAUTH"),
    ("; Communication with 192.0.2.53#53 failed: timed out", "timed out"),
    ("could not create key from hmac-sha256:k:!!TopSecret: bad base64",
     "for an unknown reason")])
def test_what_nsupdate_says(dns, words, said):
    """Its reason, and never the secret that it prints with a bad key."""
    dns.put("refusal", words + "\n")
    dns.update()
    assert dns.text("said") == f"{NAME}: nsupdate failed: {said}\n"
    assert dns.registered() == set()
    assert "TopSecret" not in dns.text("log")


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTAUTH"])
def test_answers_that_are_none(dns, rcode):
    """An error is not taken for an empty name."""
    dns.put("rcode", rcode)
    assert writes(dns.update()) == []
    assert dns.text("said") == f"{NAME}: 192.0.2.53 answers {rcode}\n"


def test_name_that_is_not_there_yet(dns):
    """NXDOMAIN is an answer: the name is made."""
    dns.put("rcode", "NXDOMAIN")
    dns.update()
    assert f"prereq nxrrset {NAME} IN A\n" in dns.text("messages")


def test_update_that_changes_nothing(dns):
    """A server that accepts and ignores it (the name is an alias): said."""
    dns.stub("nsupdate", "exit 0")
    dns.update()
    assert dns.text("said") == (f"{NAME}: was updated, but does not have the "
                                "addresses\n")


def test_several_names(dns):
    """Each has the addresses; one that fails does not stop the next."""
    dns.set(NAMES=f"bad.example.com {NAME}")
    dns.stub("nsupdate", f"cd '{dns.path}'\ncat >message\n"
             "! grep -q bad message || exit 2\n"
             "sed -n 's/^update add //p' message >records\n")
    dns.update()
    assert dns.registered() == ALL
    assert dns.text("said").startswith("bad.example.com: nsupdate failed")


def test_in_a_domain(dns):
    """net ads with the machine account, server as the option says."""
    dns.set(METHOD="ads", KEY_FILE=None, TTL=60)
    dns.stub("net", f"cd '{dns.path}'\n" + "".join(
        f"echo {NAME} 60 IN A {one} >>records\n" for one in sorted(ALL)))
    calls = dns.update()
    assert writes(calls) == [
        f"net ads dns register {NAME} 10.0.0.1 10.0.0.2 10.0.0.3 --force "
        "--machine-pass --dns-ttl 60 --server 192.0.2.53"]
    assert dns.text("messages") == ""


def test_in_a_domain_without_a_server(dns):
    """The resolver may answer from a cache: asked once, registered once."""
    dns.set(METHOD="ads", SERVER=None, KEY_FILE=None)
    calls = dns.update()
    assert [call.split()[0] for call in calls] == ["dig", "net"]
    assert "--server" not in calls[1] and "@" not in calls[0]


def test_in_a_domain_that_refuses(dns):
    """Tried again, and said."""
    dns.set(METHOD="ads")
    dns.stub("net", "exit 255")
    assert len(writes(dns.update())) == 4
    assert dns.text("said") == (f"{NAME}: net ads dns register failed "
                                "(exit code 255)\n")


@pytest.mark.parametrize("options, said", [
    ({"METHOD": "magic"},
     "CTDB_SOFS_DNS_METHOD is neither nsupdate, ads nor none"),
    ({"SERVER": None}, "CTDB_SOFS_DNS_SERVER is not set"),
    ({"SERVER": "1.2.3.4;5"}, "1.2.3.4;5 is no name in DNS"),
    ({"ZONE": "a\nsend"}, "a\nsend is no name in DNS"),
    ({"NAMES": "so$fs"}, "so$fs is no name in DNS"),
    ({"TTL": "1m"}, "port, TTL or timeout: 1m is no number"),
    ({"ADDRESSES": "all"},
     "CTDB_SOFS_DNS_ADDRESSES is neither nodes nor public"),
    ({"KEY_FILE": "/none"}, "/none cannot be read")])
def test_options_that_are_wrong(dns, options, said):
    """Said by the next monitor event; nothing is asked or changed."""
    dns.set(**options)
    assert dns.update() == []
    assert dns.event("monitor")[:2] == (0, f"WARNING: {said}\n")


def test_tools_that_are_missing(dns):
    """The package's program is named."""
    dns.stub("dig", "exit 0")
    (dns.path / "bin/nsupdate").unlink()
    hidden = f"{dns.path}/bin:{dns.path}/few"
    (dns.path / "few").mkdir()
    for tool in ("sh", "dirname", "mkdir", "cat", "sed", "tr", "grep", "awk"):
        (dns.path / "few" / tool).symlink_to(f"/usr/bin/{tool}")
    assert dns.event("update", path=hidden)[0] == 0
    assert dns.text("var/service/sofs/trouble") == "nsupdate is not installed\n"
