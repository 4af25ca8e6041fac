# SPDX-License-Identifier: GPL-3.0-or-later
"""smbtorture against a node that does not own the volume: nothing fails that
passes on the same smbd with its default VFS on the same file system."""

import concurrent.futures
import json
import os
import pathlib
import time

import pytest

from bed import samba
from drive import Volume, accounted
from drive.torture import passed, torture

SOAK = bool(os.environ.get("SOFS_SOAK"))
REPORT = pathlib.Path(os.environ.get("SOFS_BUILD", samba.REPO / "build")) \
    / "report/torture.json"

# What issue 2 calls smb2.acls are two suites in 4.25.
QUICK = """smb2.create smb2.read smb2.rw smb2.streams smb2.getinfo
    smb2.setinfo smb2.rename smb2.delete-on-close-perms smb2.sharemode
    smb2.deny smb2.ea smb2.charset smb2.name-mangling smb2.lock
    smb2.compound smb2.acls-ignore-sysacl""".split()
# Most of these wait on purpose: for breaks, for delayed times, for handles
# that expire.
SLOW = """smb2.dir smb2.ioctl smb2.oplock smb2.lease smb2.timestamps smb2.notify
    smb2.acls-with-sysacl smb2.durable-open smb2.durable-v2-open""".split()
REPEAT = 3


def timed_torture(*args):
    """The same and how long it took."""
    began = time.monotonic()
    results, output = torture(*args)
    return results, output, time.monotonic() - began


@pytest.fixture(name="table", scope="module")
def _table():
    """The rows of the report, one for each suite, written at the end."""
    rows = []
    yield rows
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(
        {"format_version": 1, "time_epoch_seconds": int(time.time()),
         "rows": rows}, indent=2) + "\n", "utf-8")
    for row in rows:
        print(f"{row['suite']:28} stock {row['stock_passed']:3}"
              f"/{row['stock_run']:3} {row['stock_seconds']:6.1f} s   "
              f"csv {row['csv_passed']:3}/{row['csv_run']:3} "
              f"{row['csv_seconds']:6.1f} s   "
              f"{' '.join(row['differs']) or '-'}")


@pytest.fixture(name="shares")
def _shares(bed):
    """(address, share) of stock Samba on the owner, and of csv elsewhere."""
    volume = Volume(bed).placed()
    plain = {"continuous availability": "no"}
    volume.make_share("tcsv", "torture-csv", **plain)
    volume.make_share("tstock", "torture-stock", **{
        "vfs objects": "acl_xattr streams_xattr", **plain})
    with accounted(volume):
        yield ((bed.node(1).address, "tstock"),
               (bed.node(2).address, "tcsv"))
    bed.unshare("tstock")
    bed.unshare("tcsv")


def run(bed, stock, csv, suite):
    """Both sides once, in soak one after the other: what passed on stock Samba
    alone, csv's output, and the row of the report."""
    with concurrent.futures.ThreadPoolExecutor(1 if SOAK else 2) as pool:
        sides = [pool.submit(timed_torture, client, *side, suite)
                 for client, side in zip(bed.clients, (stock, csv))]
        (wanted, _, stock_s), (results, output, csv_s) = [
            side.result() for side in sides]
    missing = passed(wanted) - passed(results)
    assert wanted, f"{suite}: smbtorture ran no test"
    return missing, output, {
        "suite": suite, "stock_run": len(wanted), "csv_run": len(results),
        "stock_passed": len(passed(wanted)),
        "csv_passed": len(passed(results)),
        "stock_seconds": round(stock_s, 1), "csv_seconds": round(csv_s, 1)}


def compare(bed, shares, suite):
    """What passes on stock Samba and fails on csv, each of REPEAT times;
    csv's output, and the row of the report."""
    stock, csv = shares
    missing, output, row = run(bed, stock, csv, suite)
    for _ in range(REPEAT):
        if not missing:
            break
        missing &= passed(torture(bed.client, *stock, suite)[0])
        results, output = torture(bed.client, *csv, suite)
        missing -= passed(results)
    return sorted(missing), output, row


@pytest.mark.parametrize(
    "suites", [[suite] for suite in QUICK + SLOW] if SOAK else [QUICK],
    ids=lambda suites: suites[0] if len(suites) == 1 else "quick")
def test_redirected_share_passes_what_stock_samba_passes(bed, shares, table,
                                                         suites):
    """What differs is repeated three times on both; what then always passes
    on stock Samba and fails on csv every time is a failure of ours."""
    failed = {}
    for suite in suites:
        missing, output, row = compare(bed, shares, suite)
        table.append({**row, "differs": missing})
        if missing:
            print(output[-4000:])
            failed[suite] = missing
    assert not failed, failed
