# SPDX-License-Identifier: GPL-3.0-or-later
"""A small SMB 3 client that sends what it is told and waits for nothing.

Requests go out without waiting for answers, compounds, CANCEL, signing
(AES-CMAC) and encryption (AES-CCM) included. It speaks one dialect, 3.0.2
unless told otherwise. Samba's Python bindings do the authentication.
"""
import collections
import hashlib
import os
import select
import socket
import struct
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.kbkdf import (
    CounterLocation, KBKDFHMAC, Mode)

(NEGOTIATE, SESSION_SETUP, LOGOFF, TREE_CONNECT, TREE_DISCONNECT, CREATE,
 CLOSE, FLUSH, READ, WRITE, LOCK, IOCTL, CANCEL, ECHO, QUERY_DIRECTORY,
 CHANGE_NOTIFY, QUERY_INFO, SET_INFO, BREAK) = range(19)

PENDING = 0x103
CANCELLED = 0xC0000120
MORE_PROCESSING = 0xC0000016
ASYNC, RELATED, SIGNED, REPLAY = 2, 4, 8, 0x20000000
OPLOCK_NONE, OPLOCK_BATCH, OPLOCK_LEASE = 0, 9, 255
LAST_ID = b"\xff" * 16

Reply = collections.namedtuple(
    "Reply", "command status flags mid async_id tid credits body when order")


def derive(key, label, context):
    """SP800-108 as SMB 3.0 uses it."""
    return KBKDFHMAC(algorithm=hashes.SHA256(), mode=Mode.CounterMode,
                     length=16, rlen=4, llen=4,
                     location=CounterLocation.BeforeFixed,
                     label=label, context=context, fixed=None).derive(key)


def ntlmssp(user, password):
    """Samba's implementation of the client's side."""
    # pylint: disable=import-outside-toplevel
    from samba import credentials, gensec, param
    lp = param.LoadParm()
    lp.load_default()
    creds = credentials.Credentials()
    creds.set_username(user)
    creds.set_password(password)
    creds.set_domain("VM")
    creds.set_workstation("CLIENT")
    creds.set_kerberos_state(credentials.DONT_USE_KERBEROS)
    client = gensec.Security.start_client(
        {"target_hostname": "127.0.0.1", "lp_ctx": lp})
    client.set_credentials(creds)
    client.want_feature(gensec.FEATURE_SESSION_KEY)
    client.start_mech_by_name("spnego")
    return client


class Connection:
    """One TCP connection with one session, its own or that of bind."""

    def __init__(self, port, user, password, encrypt=False, previous=0,
                 guid=None, bind=None, dialect=0x0302, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), 10)
        self.host, self.dialect = host, dialect
        # 3.1.1: the hash over what is said until the session is there
        self.preauth = b"\0" * 64 if dialect >= 0x0311 else None
        self.mid = self.session = self.last_session = self.order = 0
        self.key, self.checking = b"", False
        self.sign_key = self.seal_keys = None
        self.credits = 1
        self.replies = []
        self.input = b""
        self.guid = guid or os.urandom(16)
        self.channel_sequence = 0
        self.negotiate()
        if bind is not None:
            self.session, self.sign_key = bind.session, bind.sign_key
        self.setup_session(user, password, previous, bind is not None)
        if encrypt:
            self.seal_keys = tuple(self.derive_key(name)
                                   for name in ("seal", "open"))

    def close(self):
        """Without a goodbye."""
        self.sock.close()

    def derive_key(self, what):
        """From the session's key, as the dialect wants it."""
        if self.dialect < 0x0311:
            return derive(self.key, *{
                "sign": (b"SMB2AESCMAC\0", b"SmbSign\0"),
                "seal": (b"SMB2AESCCM\0", b"ServerIn \0"),
                "open": (b"SMB2AESCCM\0", b"ServerOut\0")}[what])
        return derive(self.key, {"sign": b"SMBSigningKey\0",
                                 "seal": b"SMBC2SCipherKey\0",
                                 "open": b"SMBS2CCipherKey\0"}[what],
                      self.preauth)

    def remember(self, data):
        """A message of the negotiation or the authentication, but for the
        answer that ends it."""
        if self.preauth is not None and self.sign_key is None:
            status, command = struct.unpack_from("<IH", data, 8)
            answer = struct.unpack_from("<I", data, 16)[0] & 1
            if command == NEGOTIATE or not answer or status != 0:
                self.preauth = hashlib.sha512(self.preauth + data).digest()

    # sending

    def header(self, command, tid, flags, charge, last):
        """A request's header; last tells whether another one follows."""
        mid = self.mid
        if command != CANCEL:
            self.mid += charge
            self.credits -= charge
        asked = charge if self.checking else 256
        return mid, struct.pack("<4sHHHHHHIIQIIQ16s", b"\xfeSMB", 64, charge,
                                self.channel_sequence, 0, command, asked,
                                flags, last, mid, 0, tid, self.session,
                                b"\0" * 16)

    def send(self, *requests, related=True, extra=0):
        """Each request is (command, tree id, body); several make a compound.

        Returns the list of message ids."""
        out, mids = [], []
        for number, (command, tid, body) in enumerate(requests):
            flags = extra | (RELATED if number and related else 0)
            last = number == len(requests) - 1
            if not last:
                body += b"\0" * (-len(body) % 8)
            mid, head = self.header(command, tid, flags, 1,
                                    0 if last else 64 + len(body))
            mids.append(mid)
            out.append(self.sign(head, body))
        self.transmit(b"".join(out))
        return mids

    def sign(self, head, body):
        """The message, signed once there is a key."""
        if self.sign_key is None or self.seal_keys:
            return head + body
        flags = struct.unpack_from("<I", head, 16)[0] | SIGNED
        head = head[:16] + struct.pack("<I", flags) + head[20:48] + b"\0" * 16
        return head[:48] + self.cmac(head + body) + body

    def cmac(self, data):
        """The signature of a message."""
        mac = CMAC(algorithms.AES(self.sign_key))
        mac.update(data)
        return mac.finalize()

    def transmit(self, data):
        """Onto the wire, encrypted if wanted."""
        self.remember(data)
        if self.seal_keys:
            nonce = os.urandom(11)
            tail = nonce + b"\0" * 5 + struct.pack("<IHHQ", len(data), 0, 1,
                                                   self.session)
            sealed = AESCCM(self.seal_keys[0]).encrypt(nonce, data, tail)
            data = b"\xfdSMB" + sealed[-16:] + tail + sealed[:-16]
        self.sock.sendall(struct.pack(">I", len(data)) + data)

    def cancel(self, async_id=None, mid=None):
        """CANCEL has no answer."""
        if async_id is not None:
            head = struct.pack("<4sHHHHHHIIQQQ16s", b"\xfeSMB", 64, 0, 0, 0,
                               CANCEL, 0, ASYNC, 0, 0, async_id, self.session,
                               b"\0" * 16)
        else:
            head = struct.pack("<4sHHHHHHIIQIIQ16s", b"\xfeSMB", 64, 0, 0, 0,
                               CANCEL, 0, 0, 0, mid, 0, 0, self.session,
                               b"\0" * 16)
        self.transmit(self.sign(head, struct.pack("<HH", 4, 0)))

    # receiving

    def receive(self, timeout):
        """Read what is there, waiting at most timeout; False if nothing."""
        if not select.select([self.sock], [], [], max(timeout, 0))[0]:
            return False
        data = self.sock.recv(1 << 20)
        if not data:
            raise EOFError("the server closed the connection")
        self.input += data
        while len(self.input) >= 4:
            size = struct.unpack(">I", self.input[:4])[0]
            if len(self.input) < 4 + size:
                break
            self.message(self.input[4:4 + size])
            self.input = self.input[4 + size:]
        return True

    def message(self, data):
        """A PDU: decrypt, split the compound, check the signatures."""
        if data[:4] == b"\xfdSMB":
            data = AESCCM(self.seal_keys[1]).decrypt(
                data[20:31], data[52:] + data[4:20], data[20:52])
        elif self.seal_keys:
            raise AssertionError("an answer in the clear")
        self.remember(data)
        while data:
            step = struct.unpack_from("<I", data, 20)[0] or len(data)
            self.reply(data[:step])
            data = data[step:]

    def reply(self, data):
        """One answer or notification."""
        (_, _, _, status, command, credits, flags, _, mid, async_id,
         self.last_session, sig) = struct.unpack("<4sHHIHHIIQQQ16s", data[:64])
        if self.checking and not self.seal_keys and mid != (1 << 64) - 1:
            if flags & SIGNED:
                assert sig == self.cmac(data[:48] + b"\0" * 16 + data[64:])
            else:
                assert status == PENDING, "an answer is not signed"
        self.credits += credits
        self.order += 1
        self.replies.append(Reply(command, status, flags, mid, async_id,
                                  async_id >> 32, credits, data[64:],
                                  time.monotonic(), self.order))

    def find(self, mid, pending=False):
        """The answer to mid that came already, or None."""
        for reply in self.replies:
            if reply.mid == mid and (reply.status == PENDING) == pending:
                return reply
        return None

    def wait(self, mid, timeout=10, pending=False):
        """The answer (or the STATUS_PENDING) to one request."""
        end = time.monotonic() + timeout
        while self.find(mid, pending) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer to message {mid}")
            self.receive(left)
        return self.find(mid, pending)

    def wait_break(self, timeout=10):
        """A break notification."""
        return self.wait((1 << 64) - 1, timeout)

    def call(self, command, tid, body, **kwargs):
        """Send one request and wait for its answer."""
        return self.wait(self.send((command, tid, body), **kwargs)[0])

    # requests

    def negotiate(self):
        """With encryption, several channels, persistent handles."""
        contexts = self.dialect >= 0x0311
        body = struct.pack("<HHHHI16sIHHH", 36, 1, 1, 0, 0x58, self.guid,
                           104 if contexts else 0, 2 * contexts, 0,
                           self.dialect)
        if contexts:
            # SHA-512 with 32 bytes of salt; AES-128-CCM
            body += struct.pack("<2xHHIHHH32s2xHHIHH", 1, 38, 0, 1, 32, 1,
                                os.urandom(32), 2, 4, 0, 1, 1)
        assert self.call(NEGOTIATE, 0, body).status == 0

    def setup_session(self, user, password, previous=0, bind=False):
        """SESSION_SETUP with NTLMSSP; again for a re-authentication, or to
        make this connection another channel of a session."""
        client = ntlmssp(user, password)
        token, status = b"", MORE_PROCESSING
        while status == MORE_PROCESSING:
            _, token = client.update(token)
            body = struct.pack("<HBBIIHHQ", 25, int(bind), 1, 0, 0, 88,
                               len(token), previous) + token
            self.checking = False
            reply = self.call(SESSION_SETUP, 0, body)
            status, self.session = reply.status, self.last_session
            offset, size = struct.unpack_from("<HH", reply.body, 4)
            token = reply.body[offset - 64:offset - 64 + size]
        assert status == 0, hex(status)
        done, _ = client.update(token)
        assert done
        self.checking = True
        if self.sign_key is None or bind:
            self.key = client.session_key()[:16]
            self.sign_key = self.derive_key("sign")

    def tree(self, share):
        """The tree id of a share."""
        reply = self.call(TREE_CONNECT, 0, tree_body(share))
        assert reply.status == 0, hex(reply.status)
        return reply.tid

    def open(self, tid, name, **kwargs):
        """The id of an opened file."""
        reply = self.call(CREATE, tid, create_body(name, **kwargs))
        assert reply.status == 0, hex(reply.status)
        return file_id(reply)

    def echo(self):
        """Seconds that an ECHO took."""
        start = time.monotonic()
        reply = self.call(ECHO, 0, struct.pack("<HH", 4, 0))
        assert reply.status == 0
        return reply.when - start


def tree_body(share):
    """TREE_CONNECT"""
    name = f"\\\\127.0.0.1\\{share}".encode("utf-16-le")
    return struct.pack("<HHHH", 9, 0, 72, len(name)) + name


def create_body(name, disposition=3, access=0x1F01FF, oplock=OPLOCK_NONE,
                options=0, share=7, context=b"", attributes=0):
    """CREATE; disposition 1 opens, 2 creates, 3 opens or creates."""
    raw = name.encode("utf-16-le")
    space = raw + b"\0" * (-len(raw) % 8) if context else raw or b"\0\0"
    return struct.pack("<HBBIQQIIIIIHHII", 57, 0, oplock, 2, 0, 0, access,
                       attributes, share, disposition, options, 120, len(raw),
                       120 + len(space) if context else 0,
                       len(context)) + space + context


def create_context(name, data):
    """A CREATE's only context."""
    return struct.pack("<IHHHHI4s4x", 0, 16, 4, 0, 24, len(data), name) + data


def chain_contexts(*contexts):
    """Several of them."""
    chain = b""
    for context in contexts[:-1]:
        context += b"\0" * (-len(context) % 8)
        chain += struct.pack("<I", len(context)) + context[4:]
    return chain + contexts[-1]


def instance_context(instance, version=None):
    """SMB2_CREATE_APP_INSTANCE_ID and, if there is one, its _VERSION."""
    found = struct.pack("<IHHHHI16sHH16s", 0, 16, 16, 0, 32, 20, bytes.fromhex(
        "45bca66aefa7f74a9008fa462e144d74"), 20, 0, instance)
    if version is None:
        return found
    return chain_contexts(found, struct.pack(
        "<IHHHHI16sHHIQQ", 0, 16, 16, 0, 32, 24, bytes.fromhex(
            "b982d0b73b56074fa07b524a8116a010"), 24, 0, 0, *version))


def lease_context(key, state):
    """RqLs; state 1 read, 2 handle, 4 write; with oplock=OPLOCK_LEASE."""
    return create_context(b"RqLs", struct.pack("<16sIIQ", key, state, 0, 0))


def persistent_context(create_guid, timeout=0):
    """DH2Q for a persistent handle; milliseconds, 0 leaves it to the server."""
    return create_context(b"DH2Q", struct.pack("<II8x16s", timeout, 2,
                                               create_guid))


def reconnect_context(handle, create_guid):
    """DH2C for a persistent handle."""
    return create_context(b"DH2C", struct.pack("<16s16sI", handle, create_guid,
                                               2))


def lease_break_body(key, state):
    """The acknowledgement of a lease break."""
    return struct.pack("<HHI16sIQ", 36, 0, 0, key, state, 0)


def rename_body(handle, name):
    """SET_INFO FileRenameInformation"""
    raw = name.encode("utf-16-le")
    data = struct.pack("<B7xQI", 0, 0, len(raw)) + raw
    return struct.pack("<HBBIHHI16s", 33, 1, 10, len(data), 96, 0, 0,
                       handle) + data


def file_id(reply):
    """Of a CREATE's answer."""
    return reply.body[64:80]


def create_action(reply):
    """Of a CREATE's answer: 0 superseded, 1 opened, 2 created, 3
    overwritten."""
    return struct.unpack_from("<I", reply.body, 4)[0]


def create_attributes(reply):
    """Of a CREATE's answer."""
    return struct.unpack_from("<I", reply.body, 56)[0]


def create_contexts(reply):
    """{name: data} of a CREATE's answer."""
    offset, size = struct.unpack_from("<II", reply.body, 80)
    data, found = reply.body[offset - 64:offset - 64 + size], {}
    while data:
        step, name, name_size, _, start, length = struct.unpack_from(
            "<IHHHHI", data)
        found[data[name:name + name_size]] = data[start:start + length]
        data = data[step:] if step else b""
    return found


def close_body(handle):
    """CLOSE"""
    return struct.pack("<HHI16s", 24, 0, 0, handle)


def write_body(handle, offset, data, flags=0):
    """WRITE; flags 1 is write-through"""
    return struct.pack("<HHIQ16sIIHHI", 49, 112, len(data), offset, handle, 0,
                       0, 0, 0, flags) + data


def read_body(handle, offset, size):
    """READ"""
    return struct.pack("<HBBIQ16sIIIHHB", 49, 0, 0, size, offset, handle, 0, 0,
                       0, 0, 0, 0)


def read_data(reply):
    """Of a READ's answer."""
    offset, size = reply.body[2], struct.unpack_from("<I", reply.body, 4)[0]
    return reply.body[offset - 64:offset - 64 + size]


def flush_body(handle):
    """FLUSH"""
    return struct.pack("<HHI16s", 24, 0, 0, handle)


def lock_body(handle, offset, size, flags, sequence=0):
    """LOCK with one element; flags 2 exclusive, 4 unlock, 0x12 fails now;
    sequence is a bucket's number * 16 + the number of the request in it."""
    return struct.pack("<HHI16sQQII", 48, 1, sequence, handle, offset, size,
                       flags, 0)


def break_body(handle, level):
    """The acknowledgement of an oplock break."""
    return struct.pack("<HBBI16s", 24, level, 0, 0, handle)


def query_info_body(handle):
    """QUERY_INFO FileStandardInformation"""
    return struct.pack("<HBBIHHIII16s", 41, 1, 5, 4096, 0, 0, 0, 0, 0, handle)


def set_delete_body(handle):
    """SET_INFO FileDispositionInformation, delete on close"""
    return struct.pack("<HBBIHHI16sB", 33, 1, 13, 1, 96, 0, 0, handle, 1)


def query_directory_body(handle):
    """QUERY_DIRECTORY *, FileNamesInformation"""
    return struct.pack("<HBBI16sHHI", 33, 12, 1, 0, handle, 96, 2,
                       4096) + "*".encode("utf-16-le")


def notify_body(handle):
    """CHANGE_NOTIFY for names"""
    return struct.pack("<HHI16sII", 32, 0, 4096, handle, 3, 0)


def ioctl_body(handle):
    """FSCTL_QUERY_ALLOCATED_RANGES over the first MiB"""
    return fsctl_body(handle, 0x940CF, struct.pack("<QQ", 0, 1 << 20))


def fsctl_body(handle, code, data=b"", space=4096):
    """IOCTL with an FSCTL"""
    return struct.pack("<HHI16sIIIIIIII", 57, 0, code, handle, 120, len(data),
                       0, 0, 0, space, 1, 0) + data


def fsctl_data(reply):
    """Of an IOCTL's answer."""
    offset, size = struct.unpack_from("<II", reply.body, 32)
    return reply.body[offset - 64:offset - 64 + size]


def set_size_body(handle, size):
    """SET_INFO FileEndOfFileInformation"""
    return struct.pack("<HBBIHHI16sQ", 33, 1, 20, 8, 96, 0, 0, handle, size)


def simple_body():
    """ECHO, LOGOFF, TREE_DISCONNECT"""
    return struct.pack("<HH", 4, 0)
