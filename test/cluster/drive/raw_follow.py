# SPDX-License-Identifier: GPL-3.0-or-later
"""Witness clients that behave as Windows' do, one process each.

argv: user password share, then ADDRESS[,…] of each client's data.  Each asks
its data node whom it may register with, registers there, waits; told of a
move, it says so by a line on its output, {"client": number, "type",
"addresses", "when"}, and registers again for the first of those addresses;
{"client", "registered": where, "data": address} tells of each registration.
When its witness is lost it asks its data node again for another one; when that
does not answer, or is said to be gone, the next of its addresses.
"""

import json
import os
import sys
import time

import raw_witness
from samba import NTSTATUSError, WERRORError

PAUSE_S = 0.1


def say(number, **what):
    """One line, in one piece: many processes write them."""
    os.write(1, (json.dumps({"client": number, "when": time.time(), **what})
                 + "\n").encode())


def choose(number, interfaces):
    """A node to register with: not the one that has the data."""
    able = [address for address, state, other in interfaces
            if other and state == 1]
    return able[number % len(able)] if able else None


def live(number, share, addresses):
    """One registration after the other."""
    registration, data = raw_witness.Registration(), addresses[0]
    while True:
        witness = None
        try:
            witness = choose(number,
                             registration.interfaces(data)["interfaces"])
            if witness is None:
                raise LookupError("nobody to register with")
            registration.register(witness, data, share, f"client{number}")
            say(number, registered=witness, data=data)
            while True:
                answer = registration.notify()
                say(number, **answer)
                if answer.get("addresses"):
                    data = answer["addresses"][0]
                    break
                if any(state != 1 for _, state in answer["resources"]):
                    witness = None
                    raise LookupError("the address is gone")
        except (NTSTATUSError, WERRORError, LookupError, RuntimeError) as err:
            say(number, error=str(err))
            if witness is None:
                addresses = addresses[1:] + addresses[:1]
                data = addresses[0]
            time.sleep(PAUSE_S)


def main():
    """A process for each, until the input ends."""
    share, clients = sys.argv[3], sys.argv[4:]
    for number, addresses in enumerate(clients):
        if os.fork() == 0:
            live(number, share, addresses.split(","))
    sys.stdin.read()
    os.killpg(0, 9)


if __name__ == "__main__":
    main()
