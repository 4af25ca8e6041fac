# SPDX-License-Identifier: GPL-3.0-or-later
"""Beds that a test makes for itself: what the bed of all tests cannot show
without its end."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from bed import Bed, checks, faults, lun, proc, remains
from test_bed import write_mount

pytestmark = pytest.mark.patient

HERE = pathlib.Path(__file__).resolve().parent


@contextlib.contextmanager
def own_bed(**kwargs):
    """A bed for as long as the block runs."""
    bed = Bed.up(nodes=1, **kwargs)
    try:
        yield bed
    finally:
        bed.down()


def test_bad_sector_and_blocked_disk():
    """A bad sector fails reads until it is written; a blocked disk hangs
    writes until it is let go."""
    with own_bed() as bed:
        fail_disk(bed)


def fail_disk(bed):
    """The disk's two faults, one after the other."""
    disk = bed.add_lun("bad", size="512M", store="btrfs")
    node = bed.nodes[0]
    at = 300 * 1024 * 1024
    write = ("dd", "if=/dev/urandom", "of=/dev/csv/bad", "bs=4096",
             f"seek={at // 4096}", "count=1", "oflag=direct", "status=none")
    read = ("dd", "if=/dev/csv/bad", "of=/dev/null", "bs=4096",
            f"skip={at // 4096}", "count=1", "iflag=direct", "status=none")
    node.run(*write)
    node.run(*read)
    disk.bad_sector(at)
    failed = node.run(*read, check=False)
    assert failed.returncode != 0 and "Input/output error" in failed.stderr
    node.run(*write)
    node.run(*read)
    disk.block()
    with node.popen(*write) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(2)
        disk.unblock()
        assert child.wait(20) == 0


def leftovers(bed_dir, before):
    """Anything of a bed that still exists; before: its processes then."""
    found = [str(bed_dir)] if bed_dir.exists() else []
    found += [x.device for x in lun.loops_under(bed_dir)]
    found += [f"pid {pid} {proc.name(pid)}"
              for pid, start in before | remains.processes(bed_dir)
              if proc.is_alive(pid, start)]
    return found


def test_nothing_is_left_after_down():
    """No process, namespace, mount, loop device or file of a bed with an open
    file system."""
    with own_bed(volumes=1, wait=False) as bed:
        write_mount(bed.nodes[0])
        before = remains.processes(bed.dir)
        up = leftovers(bed.dir, before)
        bed.down()
        assert up and not leftovers(bed.dir, before)


@pytest.mark.parametrize("victim", ["owner", pytest.param(
    "keeper", marks=pytest.mark.soak("a quarter of a minute"))])
def test_nothing_is_left_after_a_crash(victim):
    """An owner that is killed takes its bed along; a killed keeper takes
    the processes along, and a sweep removes the rest."""
    script = (f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
              "from bed import Bed\n"
              "bed = Bed.up(nodes=1, volumes=1, wait=False)\n"
              "print(bed.dir, flush=True)\n"
              "sys.stdin.read()\n")
    with subprocess.Popen([sys.executable, "-c", script], text=True,
                          stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as owner:
        bed = Bed(owner.stdout.readline().strip())
        write_mount(bed.nodes[0])
        before = remains.processes(bed.dir)
        keeper = int((bed.dir / "keeper.pid").read_text())
        os.kill(owner.pid if victim == "owner" else keeper, signal.SIGKILL)
        if victim == "owner":
            proc.wait_until("its keeper cleans up",
                            lambda: not leftovers(bed.dir, before), 30)
        else:
            proc.wait_until("its processes die", lambda: not any(
                x.startswith("pid") for x in leftovers(bed.dir, before)), 30)
            remains.sweep()     # or that of another bed's start
            assert leftovers(bed.dir, before) == []
        owner.kill()


def test_interrupted_run_leaves_nothing(tmp_path):
    """Ctrl-C in the middle of a pytest run takes the bed along."""
    test = tmp_path / "test_it.py"
    test.write_text(
        "import time\n"
        "def test_it(new_bed):\n"
        "    bed = new_bed(nodes=1, volumes=1, wait=False)\n"
        f"    open({str(tmp_path / 'dir')!r}, 'w').write(str(bed.dir))\n"
        "    time.sleep(100)\n", encoding="utf-8")
    (tmp_path / "conftest.py").symlink_to(HERE / "conftest.py")
    with subprocess.Popen([sys.executable, "-B", "-m", "pytest", "-q", "-p",
                           "no:cacheprovider", str(test)], cwd=tmp_path,
                          stdout=open(tmp_path / "out", "w"),
                          start_new_session=True) as run:
        said = tmp_path / "dir"
        proc.wait_until("its bed is up", lambda: said.exists()
                        and said.read_text() or run.poll() is not None, 60)
        assert said.exists(), (tmp_path / "out").read_text()
        bed_dir = pathlib.Path(said.read_text())
        before = remains.processes(bed_dir)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(60) == 2
    assert leftovers(bed_dir, before) == []


@pytest.mark.soak("half a minute")
@pytest.mark.parametrize("fstype", ["ext4", "btrfs"])
def test_other_file_systems_lose_power_too(fstype):
    """The power cut is as real on ext4 and btrfs as on XFS: what was flushed
    is there, the rest is not."""
    with own_bed(wait=False, volumes=1, fstype=fstype, size="512M") as bed:
        assert lose_power(bed) == [5 * 2048, 0]


def lose_power(bed):
    """Blocks of what was flushed and of what was not, afterwards."""
    one = bed.nodes[0]
    write_mount(one, "synced")
    one.run("sync", "-f", "/csv/vol1")
    one.run("dd", "if=/dev/urandom", "of=/csv/vol1/lost", "bs=5M",
            "count=1", "status=none")
    checks.assert_mounted_only_on(bed, "vol1", one)
    faults.power_cut(one)
    faults.rejoin(one)
    one.run("mkdir", "-p", "/csv/vol1")
    one.run("mount", "/dev/csv/vol1", "/csv/vol1")
    sizes = one.run("sh", "-c", "cd /csv/vol1; for f in synced lost; do "
                    "stat -c %b $f 2>/dev/null || echo 0; done").stdout
    return list(map(int, sizes.split()))
