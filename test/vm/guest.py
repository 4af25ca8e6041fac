# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine that runs the host's programs on a kernel with a SCSI
target and a watchdog: the host's files read-only below a layer in memory."""

import pathlib
import shlex
import shutil
import tempfile

from bed.samba import BUILD, REPO, find_prefix

from boot import Console

HERE = pathlib.Path(__file__).resolve().parent
WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "configfs",
          "crc32c_generic", "crct10dif_generic", "crc64_rocksoft_generic",
          "scsi_mod", "sd_mod", "sg",
          "target_core_mod", "target_core_file", "iscsi_target_mod", "iscsi_tcp",
          "ext4", "softdog")

INIT = """busybox mkdir /host /rw /all
busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,\
msize=262144 host /host || echo "EXIT no files of the host"
busybox mount -t tmpfs -o size=70% rw /rw
busybox mkdir /rw/up /rw/work
busybox mount -t overlay -o lowerdir=/host,upperdir=/rw/up,workdir=/rw/work \
all /all || echo "EXIT no layer over the host's files"
for d in proc sys dev; do
	busybox mount -o bind /$d /all/$d
done
for d in run tmp; do
	busybox mount -t tmpfs $d /all/$d
done
for d in {shown}; do
	busybox mkdir -p /all/$d && busybox mount -o bind /host/$d /all/$d
done
busybox mount -t configfs config /all/sys/kernel/config
echo BOOTED
busybox cp /start /all/start
busybox chroot /all /bin/sh /start
echo EXIT $?
busybox poweroff -f
"""


HIDDEN = ("/run", "/tmp")    # the machine has its own


class Guest(Console):
    """Runs a shell script as root, then is off. The script's variables: BUILD
    and PREFIX (the tree's build directory, Samba's prefix), TREE and HERE (the
    tree, this directory), and what is given."""

    def __init__(self, script, **variables):
        super().__init__()
        self.script = HERE / script
        self.values = {"BUILD": BUILD, "PREFIX": find_prefix(), "TREE": REPO,
                       "HERE": HERE, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                       **variables}
        self._dir = pathlib.Path(tempfile.mkdtemp(prefix="sofs-vm-"))

    def start(self):
        """Boot."""
        start = self._dir / "root/start"
        start.parent.mkdir()
        lines = [f"export {name}={shlex.quote(str(value))}"
                 for name, value in self.values.items()]
        start.write_text("\n".join([*lines, f". {self.script}", ""]))
        ours = (str(self.values[name]) for name in ("BUILD", "PREFIX", "TREE"))
        shown = " ".join(shlex.quote(path) for path in sorted(set(ours))
                         if path.startswith(tuple(f"{d}/" for d in HIDDEN)))
        self.boot(self._dir, WANTED, INIT.format(shown=shown), "-virtfs",
                  "local,path=/,mount_tag=host,security_model=none,"
                  "readonly=on,multidevs=remap")
        return self

    def stop(self):
        """Switch off; forget everything."""
        self.off()
        shutil.rmtree(self._dir, ignore_errors=True)
