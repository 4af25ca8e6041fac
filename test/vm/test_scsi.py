# SPDX-License-Identifier: GPL-3.0-or-later
"""Fencing by SCSI reservations on a real target, and the guard's watchdog: a
kernel that has both, in a virtual machine."""

import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]
                       / "cluster"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from guest import Guest    # noqa: E402

CONFLICT = "Invalid exchange"   # EBADE: the target's RESERVATION CONFLICT
KEYS = ("0x6373760000000000", "0x6373760000000001")
BITE_S = 6      # watchdog.sh


def boot(request, script, **variables):
    """A machine that runs the script; off and gone after the test."""
    machine = Guest(script, **variables)

    def end():
        machine.stop()
        print("\n".join(machine.lines))
    request.addfinalizer(end)
    return machine.start()


def steps(machine):
    """Of each step in order: name, exit code, last line."""
    found = []
    for line in machine.told("STEP "):
        name, code, text = (line + " ").split(" ", 3)[1:]
        found.append((name, int(code), text.strip()))
    return found


class Steps:
    """The steps, taken one after the other."""

    def __init__(self, machine):
        self.left = steps(machine)

    def next(self, wanted):
        """What the next step, which must be this, said and its exit code."""
        name, code, text = self.left.pop(0)
        assert name == wanted
        return code, text

    def good(self, wanted):
        """It succeeded; what it said."""
        code, text = self.next(wanted)
        assert code == 0, f"{wanted}: {text}"
        return text

    def bad(self, wanted, why):
        """It failed, and said why."""
        code, text = self.next(wanted)
        assert code != 0 and why in text, f"{wanted}: {code}, {text}"


def test_fenced_by_reservations(request, capsys):
    """What csvd calls fenced writes nothing more, by no path and by no key of
    its own, until it is let on again; the fencer writes all the time."""
    machine = boot(request, "fence.sh")
    assert machine.wait_line("EXIT", 600) == "EXIT 0"
    did = Steps(machine)

    did.good("unfence-0")
    assert set(did.good("keys-0").split()) == {KEYS[0]}
    did.good("write-0")
    did.bad("stranger-1", CONFLICT)     # who is not registered writes nothing
    did.bad("no-proof", "fence_scsi on exited with 1")
    did.good("fence-0")
    paced = dict(re.findall(r"(\w+)=(\S+)", machine.told("PACED ")[0]))
    assert paced["error"] == "EBADE" and int(paced["blocks"]) > 50
    assert float(paced["last"]) < float(paced["fenced"])

    assert set(did.good("keys-1").split()) == {KEYS[1]}
    held = " ".join(machine.told("HELD "))
    assert "Write Exclusive, registrants only" in held and KEYS[1][2:] in held
    did.bad("write-0", CONFLICT)
    did.good("write-1")
    did.bad("back-0", "onflict")
    did.bad("again-0", "onflict")
    did.bad("write-0", CONFLICT)
    did.good("write-1")
    did.good("unfence-0")
    did.good("write-0")
    assert not did.left
    with capsys.disabled():
        print(f"\nLinux {machine.kernel} target: {paced['blocks']} blocks "
              "until fenced, last one "
              f"{float(paced['fenced']) - float(paced['last']):.1f} s before "
              "csvd said so")


@pytest.mark.parametrize("fault", ["STOP", "KILL"])
def test_watchdog(request, capsys, fault):
    """The guard feeds a watchdog; so does the one that replaces it when it
    dies or hangs. When nobody does, the node is reset in time; and nobody
    does of a csvd that has not seen to what an earlier one left mounted."""
    machine = boot(request, "watchdog.sh", FAULT=fault)
    machine.wait_line("FAULT ", 600)
    machine.wait_off(60)
    did = Steps(machine)

    did.good("add")
    assert "ext4" in did.good("mounted")
    assert KEYS[0] in did.good("key")
    assert "registrants only" in did.good("held")
    did.bad("stranger", CONFLICT)
    assert did.good("timeout") == str(BITE_S)
    did.good("active")
    assert machine.told("ALIVE ") == ["ALIVE fed", "ALIVE guard-killed",
                                      "ALIVE guard-stopped"]
    assert not machine.told("EXIT")     # it did not get to its own end
    began = float(machine.told("FAULT ")[0].split()[1])
    looks = [line.split() for line in machine.told("AT ")]
    last = float(looks[-1][1])
    assert {look[3] for look in looks} == {"1"}     # mounted to the end
    assert (fault == "KILL") == (looks[-1][-1] == "another")
    assert BITE_S - 1 < last - began < BITE_S + 1
    with capsys.disabled():
        print(f"\nguard and supervisor SIG{fault}: reset after "
              f"{last - began:.1f} s (watchdog {BITE_S} s)")
