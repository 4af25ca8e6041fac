# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine with the Linux kernel's SMB client on a bed's bridge."""

import pathlib
import shutil
import subprocess

from bed import net, ns

from boot import Console, run

HERE = pathlib.Path(__file__).resolve().parent
TAP = "vm1"
ADDRESS = "10.77.1.240"
MODES = ("sync", "buffered")
WANTED = ("virtio_net", "virtio_pci", "cifs", "gf128mul", "ghash-generic",
          "gcm", "ccm", "cmac", "ctr", "seqiv", "cryptd", "sha512_generic",
          "ecb", "hmac", "md4", "aes_generic")

INIT = """busybox mkdir /mnt /tmp
busybox ip link set eth0 up
busybox ip addr add {address}/24 dev eth0
share() {{
	busybox mount -t cifs //{server}/{share} /mnt -o \
ip={server},username={user},password={word},vers=3.1.1,persistenthandles,\
hard,echo_interval=2,cache=strict{more} || echo "EXIT mount failed"
}}
echo BOOTED
share && echo MOUNTED
busybox grep -A4 '{share}' /proc/fs/cifs/DebugData | busybox grep -i capab
/writer sync /mnt/sync {seconds} & a=$!
/writer buffered /mnt/buffered {seconds} & b=$!
read word
>/tmp/stop
wait $a; x=$?; wait $b; echo EXIT $((x + $?))
n=$(busybox stat -c %s /mnt/sync) m=$(busybox stat -c %s /mnt/buffered)
busybox umount /mnt && share
/writer verify /mnt/sync $((n / 4096))
/writer verify /mnt/buffered $((m / 4096))
busybox umount /mnt && echo UNMOUNTED
busybox dmesg | busybox grep -i cifs
busybox poweroff -f
"""


class Machine(Console):
    """Boots, mounts, writes two files until told to stop (or for so many
    seconds), mounts again, verifies, powers itself off. more: mount options,
    with a comma before each."""

    def __init__(self, bed, server, share, seconds, user, word, more=""):
        super().__init__()
        self.bed, self.dir = bed, bed.dir / "vm"
        self.values = {"address": ADDRESS, "server": server, "share": share,
                       "seconds": seconds, "user": user, "word": word,
                       "more": more}

    def start(self):
        """Boot."""
        root = self.dir / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        run("gcc", "-static", "-O2", "-o", str(root / "writer"),
            str(HERE / "writer.c"))
        inside = ns.enter_argv(self.bed.pid, "n")
        ns.command(inside + ["ip", "tuntap", "add", TAP, "mode", "tap"])
        ns.command(inside + ["ip", "link", "set", TAP, "master", net.BRIDGE,
                             "up"])
        self.boot(self.dir, WANTED, INIT.format(**self.values), "-netdev",
                  f"tap,id=n0,ifname={TAP},script=no,downscript=no",
                  "-device", "virtio-net-pci,netdev=n0", before=inside)
        return self

    def wait_going_on(self, since, timeout):
        """Both writers write again for seconds, and have said what it
        took."""
        for mode in MODES:
            self.wait_line(f"AT {mode} ", timeout, since, 4)

    def blocks(self, mode):
        """How many blocks a writer has written, as it last said."""
        at = self.told(f"AT {mode} ")
        return int(at[-1].split()[2]) if at else 0

    def gap_ms(self, mode, since):
        """Longest gap that a writer told from line `since` on."""
        return max(float(line.split()[3])
                   for line in self.told(f"AT {mode} ", since))

    def end_writing(self):
        """The writers stop; what they wrote is verified."""
        self.say("stop")

    def stop(self):
        """Switch off."""
        self.off()
        subprocess.run(ns.enter_argv(self.bed.pid, "n")
                       + ["ip", "link", "del", TAP], check=False,
                       capture_output=True)
