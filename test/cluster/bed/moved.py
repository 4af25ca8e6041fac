# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients moved; drive/ledger.py compares it with what servers say."""

import os


class Moved:
    """Bytes of one connection. whole: and no more was done for it than it
    says. Without an address nobody knows where."""

    def __init__(self, share, address, read=0, written=0, whole=True):
        self.share, self.address, self.whole = share, address, whole
        self.read, self.written = read, written


def _size(path, succeeded):
    try:
        return os.path.getsize(path), succeeded
    except OSError:
        return 0, False


def of_smbclient(share, address, commands, succeeded):
    """Of `put LOCAL NAME` and `get NAME LOCAL` in smbclient's commands."""
    moved = Moved(share, address)
    for command in commands.split(";"):
        verb, *words = command.split() or [""]
        if verb == "put":
            size, whole = _size(words[0], succeeded)
            moved.written += size if whole else 0
        elif verb == "get":
            size, whole = _size(words[1], succeeded)
            moved.read += size if whole else 0
        else:
            continue
        moved.whole = moved.whole and whole
    return moved


def of_report(share, report):
    """Of smb3client's report: each connection by itself. Of a client that
    lost one only the last is known, and that not as a whole."""
    found = []
    for prefix in ("", "other_"):
        links = report.get(f"{prefix}links", [])
        for link in links:
            last = link is links[-1]
            found.append(Moved(
                share, link["address"], link["read_bytes"] if last else 0,
                link["written_bytes"] if last else 0, len(links) == 1))
    return found or [Moved(share, None, whole=False)]
