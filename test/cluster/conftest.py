# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: ``bed`` is a healthy cluster of three nodes, shared by tests."""

import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from bed import Bed, BedError, remains  # noqa: E402
from drive import Volume, accounted      # noqa: E402
from drive.volume import CA_STACK        # noqa: E402


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Let fixtures see how the test went."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)


class _Keeper:
    """Makes the session's bed when first asked, again when it broke."""

    def __init__(self, prefix):
        self.prefix, self.bed = prefix, None

    def healthy(self):
        """A bed as fresh as reset can make it."""
        if self.bed is not None:
            try:
                self.bed.reset()
                return self.bed
            except (BedError, OSError) as err:
                kept = self.bed.keep_logs("reset-failed")
                print(f"bed {self.bed.id} is broken ({err}), logs in {kept}")
                self.down()
        self.bed = Bed.up(nodes=3, clients=2, volumes=1,
                          samba_prefix=self.prefix)
        return self.bed

    def down(self):
        """Take it away."""
        bed, self.bed = self.bed, None
        if bed is not None:
            bed.down()


@pytest.fixture(scope="session")
def bed_keeper(request):
    """The session's one bed; removed at its end."""
    remains.sweep()
    keeper = _Keeper(request.config.getoption("--samba", None))
    yield keeper
    keeper.down()


def _failed(node):
    """Has the test failed?"""
    reports = (getattr(node, f"report_{when}", None)
               for when in ("setup", "call"))
    return any(report and report.failed for report in reports)


@pytest.fixture
def bed(bed_keeper, request):
    """Three healthy nodes, two clients, the LUN vol1, no shares."""
    the_bed = bed_keeper.healthy()
    the_bed.mark(f"test {request.node.nodeid} begins")
    yield the_bed
    if _failed(request.node):
        where = the_bed.keep_logs(request.node.name)
        print(f"logs of all nodes: {where}")
        if request.config.getoption("--keep-bed", False):
            capture = request.config.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled():
                input(f"bed {the_bed.id} is kept until you press Enter")


@pytest.fixture(name="volume")
def _volume(bed):
    """vol1, Active, owned by node1, with the share vms; checked afterwards."""
    with accounted(Volume(bed).ready()) as volume:
        yield volume


@pytest.fixture(name="share")
def _share(volume):
    """The share "ca" on vol1, ca above csv; a file may have another one."""
    return volume.make_share("ca", **{"vfs objects": CA_STACK})


@pytest.fixture
def new_bed(request, bed_keeper):
    """A function that builds a bed of the test's own: new_bed(nodes=1).

    The session's bed is taken down for it, unless the test uses that, too."""
    made = []
    if "bed" not in request.fixturenames:
        bed_keeper.down()

    def make(**kwargs):
        kwargs.setdefault("samba_prefix",
                          request.config.getoption("--samba", None))
        made.append(Bed.up(**kwargs))
        return made[-1]
    yield make
    for number, one in enumerate(made, 1):
        if _failed(request.node):
            print("logs of all nodes: "
                  f"{one.keep_logs(f'{request.node.name}-{number}')}")
        one.down()
