# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel that is not the host's, in a virtual machine without hardware
acceleration: what boots it, and its console."""

import os
import pathlib
import re
import shutil
import subprocess
import threading

from bed import ns, proc
from bed.errors import BedError

CACHE = pathlib.Path(os.environ.get("SOFS_CACHE", "/var/cache/sofs")) / "vm"

# How every /init begins.
BEGIN = """#!/bin/busybox sh
export PATH=/bin
busybox mkdir -p /proc /sys /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
for m in $(busybox cat /modules.order); do
	busybox insmod /modules/$m 2>/dev/null
done
busybox ip link set lo up
"""


def run(*argv, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, check=False,
                          **kwargs)
    if done.returncode != 0:
        raise BedError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def _kernel_package():
    """The package that linux-image-amd64 stands for today."""
    out = run("apt-cache", "depends", "linux-image-amd64")
    return re.search(r"Depends: (linux-image-\S+)", out).group(1)


def kernel():
    """Unpacked kernel package (downloaded once): (vmlinuz, modules dir)."""
    CACHE.mkdir(parents=True, exist_ok=True)
    ready = sorted(CACHE.glob("linux-*/boot/vmlinuz-*"))
    if not ready:
        name = _kernel_package()
        run("apt-get", "download", name, cwd=CACHE)
        deb = next(CACHE.glob(f"{name}_*.deb"))
        fresh = CACHE / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        run("dpkg-deb", "-x", str(deb), str(fresh))
        deb.unlink()
        version = next(fresh.glob("boot/vmlinuz-*")).name[len("vmlinuz-"):]
        run("depmod", "-b", str(fresh), version)
        fresh.rename(CACHE / name)
        ready = sorted(CACHE.glob("linux-*/boot/vmlinuz-*"))
    image = ready[-1]
    version = image.name[len("vmlinuz-"):]
    return image, image.parents[1] / "lib/modules" / version


def _modules(directory, wanted):
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
    for name in wanted:
        path = by_name.get(name.replace("-", "_"))
        if path:
            add(path)
    return order


def initramfs(work, modules, wanted, init):
    """An initramfs in the directory `work`: busybox, the wanted modules (in
    /modules, their order in /modules.order), what is in `work`/root already,
    and an /init that begins with BEGIN."""
    root = work / "root"
    (root / "bin").mkdir(parents=True, exist_ok=True)
    (root / "modules").mkdir()
    shutil.copy2("/bin/busybox", root / "bin/busybox")
    names = []
    for path in _modules(modules, wanted):
        shutil.copy2(modules / path, root / "modules")
        names.append(pathlib.Path(path).name)
    (root / "modules.order").write_text("\n".join(names) + "\n")
    (root / "bin/sh").symlink_to("busybox")
    (root / "init").write_text(BEGIN + init)
    (root / "init").chmod(0o755)
    image = work / "initramfs"
    with open(image, "wb") as out:
        subprocess.run("find . | cpio -o -H newc --quiet", shell=True,
                       cwd=root, stdout=out, check=True)
    return image


class Console:
    """A virtual machine by what it prints."""

    def __init__(self):
        self.lines, self._child, self.kernel = [], None, None

    def boot(self, work, wanted, init, *more, before=()):
        """Boot with these modules and this /init; `more` is for qemu."""
        vmlinuz, modules = kernel()
        self.kernel = modules.name
        image = initramfs(work, modules, wanted, init)
        self._child = subprocess.Popen(
            [*before, "qemu-system-x86_64", "-machine", "q35", "-accel",
             "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
             "-nographic", "-no-reboot", "-kernel", str(vmlinuz), "-initrd",
             str(image), "-append",
             "console=ttyS0 quiet loglevel=3 panic=-1", *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=0, start_new_session=True,
            preexec_fn=ns.die_with_parent)
        threading.Thread(target=self._read, daemon=True).start()

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

    def say(self, line):
        """A line for its standard input."""
        self._child.stdin.write(line.encode() + b"\n")

    def wait_off(self, timeout):
        """It switched itself off, or was reset."""
        proc.wait_until("the machine is off",
                        lambda: self._child.poll() is not None, timeout)

    def off(self):
        """Switch off."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
        if self._child is not None:
            self._child.wait()
            self._child.stdin.close()
