# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine with the Linux kernel's SMB client on a bed's bridge."""

import os
import pathlib
import re
import shutil
import subprocess
import threading

from bed import net, ns, proc
from bed.errors import BedError

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("SOFS_CACHE", "/var/cache/sofs")) / "vm"
TAP = "vm1"
ADDRESS = "10.77.1.240"
MODES = ("sync", "buffered")
WANTED = ("virtio_net", "virtio_pci", "cifs", "gf128mul", "ghash-generic",
          "gcm", "ccm", "cmac", "ctr", "seqiv", "cryptd", "sha512_generic",
          "ecb", "hmac", "md4", "aes_generic")

INIT = """#!/bin/busybox sh
export PATH=/bin
busybox mkdir -p /proc /sys /dev /mnt /tmp
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
for m in $(busybox cat /modules.order); do
	busybox insmod /modules/$m 2>/dev/null
done
busybox ip link set lo up
busybox ip link set eth0 up
busybox ip addr add {address}/24 dev eth0
share() {{
	busybox mount -t cifs //{server}/{share} /mnt -o \
ip={server},username={user},password={word},vers=3.1.1,persistenthandles,\
hard,echo_interval=2,cache=strict || echo "EXIT mount failed"
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


def _run(*argv, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, check=False,
                          **kwargs)
    if done.returncode != 0:
        raise BedError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def _kernel_package():
    """The package that linux-image-amd64 stands for today."""
    out = _run("apt-cache", "depends", "linux-image-amd64")
    return re.search(r"Depends: (linux-image-\S+)", out).group(1)


def kernel():
    """Unpacked kernel package (downloaded once): (vmlinuz, modules dir)."""
    CACHE.mkdir(parents=True, exist_ok=True)
    ready = sorted(CACHE.glob("linux-*/boot/vmlinuz-*"))
    if not ready:
        name = _kernel_package()
        _run("apt-get", "download", name, cwd=CACHE)
        deb = next(CACHE.glob(f"{name}_*.deb"))
        fresh = CACHE / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        _run("dpkg-deb", "-x", str(deb), str(fresh))
        deb.unlink()
        version = next(fresh.glob("boot/vmlinuz-*")).name[len("vmlinuz-"):]
        _run("depmod", "-b", str(fresh), version)
        fresh.rename(CACHE / name)
        ready = sorted(CACHE.glob("linux-*/boot/vmlinuz-*"))
    image = ready[-1]
    version = image.name[len("vmlinuz-"):]
    return image, image.parents[1] / "lib/modules" / version


def _modules(directory):
    """The wanted modules and what they need, in the order of loading."""
    needs = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {pathlib.Path(p).name.split(".")[0].replace("-", "_"): p
               for p in needs}
    order = []

    def add(path):
        for other in needs[path]:
            add(other)
        if path not in order:
            order.append(path)
    for name in WANTED:
        path = by_name.get(name.replace("-", "_"))
        if path:
            add(path)
    return order


class Machine:
    """Boots, mounts, writes two files until told to stop (or for so many
    seconds), mounts again, verifies, powers itself off."""

    def __init__(self, bed, server, share, seconds, user, word):
        self.bed, self.dir = bed, bed.dir / "vm"
        self.values = {"address": ADDRESS, "server": server, "share": share,
                       "seconds": seconds, "user": user, "word": word}
        self.lines, self._child, self.kernel = [], None, None

    def _initramfs(self, modules):
        root = self.dir / "root"
        shutil.rmtree(root, ignore_errors=True)
        (root / "bin").mkdir(parents=True)
        (root / "modules").mkdir()
        shutil.copy2("/bin/busybox", root / "bin/busybox")
        _run("gcc", "-static", "-O2", "-o", str(root / "writer"),
             str(HERE / "writer.c"))
        names = []
        for path in _modules(modules):
            shutil.copy2(modules / path, root / "modules")
            names.append(pathlib.Path(path).name)
        (root / "modules.order").write_text("\n".join(names) + "\n")
        (root / "bin/sh").symlink_to("busybox")
        (root / "init").write_text(INIT.format(**self.values))
        (root / "init").chmod(0o755)
        image = self.dir / "initramfs"
        with open(image, "wb") as out:
            subprocess.run("find . | cpio -o -H newc --quiet", shell=True,
                           cwd=root, stdout=out, check=True)
        return image

    def start(self):
        """Boot."""
        self.dir.mkdir(exist_ok=True)
        vmlinuz, modules = kernel()
        self.kernel = modules.name
        image = self._initramfs(modules)
        inside = ns.enter_argv(self.bed.pid, "n")
        ns.command(inside + ["ip", "tuntap", "add", TAP, "mode", "tap"])
        ns.command(inside + ["ip", "link", "set", TAP, "master", net.BRIDGE,
                             "up"])
        self._child = subprocess.Popen(
            inside + ["qemu-system-x86_64", "-machine", "q35", "-accel",
                      "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m",
                      "1024", "-nographic", "-no-reboot", "-kernel",
                      str(vmlinuz), "-initrd", str(image), "-append",
                      "console=ttyS0 quiet loglevel=3 panic=-1", "-netdev",
                      f"tap,id=n0,ifname={TAP},script=no,downscript=no",
                      "-device", "virtio-net-pci,netdev=n0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=0, start_new_session=True,
            preexec_fn=ns.die_with_parent)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self):
        for line in self._child.stdout:
            self.lines.append(line.decode(errors="replace").strip())

    def told(self, start, since=0):
        """Console lines that begin so, from line `since` on."""
        return [line for line in self.lines[since:] if line.startswith(start)]

    def wait_line(self, start, timeout, since=0, count=1):
        """The count-th console line that begins so."""
        def found():
            lines = self.told(start, since)
            if len(lines) < count and self._child.poll() is not None:
                raise BedError("the machine is off: "
                               + "\n".join(self.lines[-30:]))
            return len(lines) >= count
        proc.wait_until(f"machine says {start}", found, timeout, 0.2)
        return self.told(start, since)[count - 1]

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
        self._child.stdin.write(b"stop\n")

    def stop(self):
        """Switch off."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
        if self._child is not None:
            self._child.wait()
            self._child.stdin.close()
        subprocess.run(ns.enter_argv(self.bed.pid, "n")
                       + ["ip", "link", "del", TAP], check=False,
                       capture_output=True)
