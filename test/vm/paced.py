# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a block to a device every 10 ms until that fails; says how many, the
error, and when (seconds since boot) the last one succeeded."""

import errno
import mmap
import os
import sys
import time

fd = os.open(sys.argv[1], os.O_WRONLY | os.O_DIRECT | os.O_DSYNC)
page = mmap.mmap(-1, 4096)
blocks, last, name = 0, 0.0, "none"
while name == "none":
    page[0:8] = blocks.to_bytes(8, "little")
    try:
        os.pwrite(fd, page, blocks % 1024 * 4096)
        blocks, last = blocks + 1, time.clock_gettime(time.CLOCK_BOOTTIME)
        if blocks == 1:
            print("writing", flush=True)
    except OSError as err:
        name = errno.errorcode[err.errno]
    time.sleep(0.01)
print(f"blocks={blocks} last={last:.3f} error={name}", flush=True)
