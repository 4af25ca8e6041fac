# SPDX-License-Identifier: GPL-3.0-or-later
"""One SMB session, told what to do by JSON lines: Samba's own Python client.

argv: address share user password.  A line in: [verb, arguments…]; a line
out: {"status": NT status as a number, "result": …, "ms": how long it took}.
"""

import itertools
import json
import sys
import time

from samba import NTSTATUSError
from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.samba3 import libsmb_samba_internal as libsmb
from samba.samba3 import param

READ_WRITE = 0x00000003
SHARE_ALL = 7
OPEN, OPEN_IF = 1, 3
TIMEOUT_MS = 150000


def connect(address, share, user, password):
    """A connection that waits as long as a test may want to."""
    lp = param.get_context()
    lp.load("/dev/null")
    creds = Credentials()
    creds.guess(lp)
    creds.set_username(user)
    creds.set_password(password)
    creds.set_kerberos_state(DONT_USE_KERBEROS)
    conn = libsmb.Conn(address, share, lp=lp, creds=creds)
    conn.settimeout(TIMEOUT_MS)
    return conn


def run(conn, verb, args):
    """One request; its result as JSON can hold it."""
    if verb == "open":
        path, access, share, create = args
        return conn.create(path, DesiredAccess=access or READ_WRITE,
                           ShareAccess=SHARE_ALL if share is None else share,
                           CreateDisposition=OPEN_IF if create else OPEN)
    if verb == "read":
        return conn.read(args[0], args[1], args[2]).hex()
    if verb == "write":
        return conn.write(args[0], bytes.fromhex(args[2]), args[1])
    if verb == "close":
        return conn.close(args[0])
    raise ValueError(verb)


def main():
    """Connect, then one line after the other."""
    conn = None
    for line in itertools.chain(['["connect"]'], sys.stdin):
        verb, *args = json.loads(line)
        began, status, result = time.monotonic(), 0, None
        try:
            if verb == "connect":
                conn = connect(*sys.argv[1:])
            else:
                result = run(conn, verb, args)
        except NTSTATUSError as err:
            status = err.args[0] & 0xffffffff
        answer = {"status": status, "result": result,
                  "ms": round((time.monotonic() - began) * 1000)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
