# SPDX-License-Identifier: GPL-3.0-or-later
"""A witness client ([MS-SWN]) of one registration, told by JSON lines:

  {"do": "interfaces", "at": ADDRESS}
  {"do": "register", "at": ADDRESS, "ip": …, "share": … or null, "computer":
   …, "version": 1 or 2, "timeout": seconds}
  {"do": "notify"}            waits for the next notification
  {"do": "unregister"}
  {"do": "opnum", "number": …}   a call without arguments

argv: user password.  A line out: {"status": the call's error, "ms", "when":
seconds since 1970} and what the call answered.  Samba's own bindings.
"""

import json
import sys
import time

from samba import NTSTATUSError, WERRORError
from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.dcerpc import witness
from samba.samba3 import param

NET_NAME = "SOFS"


def connection(address):
    """A signed connection to that node's witness service."""
    lp = param.get_context()
    lp.load("/dev/null")
    creds = Credentials()
    creds.guess(lp)
    creds.set_username(sys.argv[1])
    creds.set_password(sys.argv[2])
    creds.set_kerberos_state(DONT_USE_KERBEROS)
    return witness.witness(
        f"ncacn_ip_tcp:{address}[spnego,sign,target_hostname={NET_NAME}]",
        lp, creds)


def address_of(info, v4):
    """The one of an address' two texts that is meant."""
    return info.ipv4 if info.flags & v4 else info.ipv6


class Registration:
    """One connection, at most one registration."""

    def __init__(self):
        self.conn = self.context = None

    def interfaces(self, at):
        """[address, state, may it be registered with]."""
        found = connection(at).GetInterfaceList()
        return {"interfaces": [
            [address_of(i, witness.WITNESS_INFO_IPv4_VALID), i.state,
             bool(i.flags & witness.WITNESS_INFO_WITNESS_IF)]
            for i in found.interfaces]}

    def register(self, at, ip, share=None, computer="client", version=2,
                 timeout=120):
        """At one node, for the address of another."""
        self.conn = connection(at)
        if version == 1:
            self.context = self.conn.Register(
                witness.WITNESS_V1, NET_NAME, ip, computer)
        else:
            self.context = self.conn.RegisterEx(
                witness.WITNESS_V2, NET_NAME, share, ip, computer,
                witness.WITNESS_REGISTER_NONE, timeout)
        return {}

    def notify(self):
        """The next one: its type and addresses, or resources."""
        answer = self.conn.AsyncNotify(self.context)
        if answer.type == witness.WITNESS_NOTIFY_RESOURCE_CHANGE:
            return {"type": answer.type, "resources": [
                [m.name, m.type] for m in answer.messages]}
        return {"type": answer.type, "addresses": [
            address_of(info, witness.WITNESS_IPADDR_V4)
            for m in answer.messages for info in m.addr]}

    def unregister(self):
        """Ends it."""
        self.conn.UnRegister(self.context)
        return {}

    def opnum(self, number):
        """On the connection of the registration."""
        self.conn.request(number, b"")
        return {}


def main():
    """One line after the other."""
    registration = Registration()
    for line in sys.stdin:
        request = json.loads(line)
        call = getattr(registration, request.pop("do"))
        began, answer = time.monotonic(), {"status": 0}
        try:
            answer.update(call(**request))
        except (WERRORError, NTSTATUSError) as err:
            answer["status"] = err.args[0] & 0xffffffff
        answer.update(ms=round((time.monotonic() - began) * 1000),
                      when=time.time())
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
