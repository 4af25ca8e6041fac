# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of all tests, which pytest takes from here only, and their order."""

import contextlib
import os

import pytest

import lanes


def pytest_addoption(parser):
    """--samba: which Samba; --keep-bed: look at it afterwards."""
    parser.addoption("--samba", help="Samba prefix")
    parser.addoption("--keep-bed", action="store_true",
                     help="on a failure leave the bed running until Enter")


def pytest_configure(config):
    """--samba holds for whatever makes a bed; what kind of machine this is,
    the workers are told."""
    if config.getoption("--samba", None):
        os.environ["SOFS_SAMBA_PREFIX"] = config.getoption("--samba")
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        config.machine = lanes.measure()


def pytest_report_header(config):
    """What was found."""
    return getattr(config, "machine", None)


def _skip_in_check(item):
    """What only make soak has the time for."""
    mark = item.get_closest_marker("soak")
    if mark and not os.environ.get("SOFS_SOAK"):
        item.add_marker(pytest.mark.skip(
            reason=f"{mark.args[0]}; make soak runs it"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """First what may be disturbed, at last what must not be."""
    for item in items:
        _skip_in_check(item)
    items.sort(key=lanes.place)


def _turns(config):
    """The workers' locks; None: there is one worker."""
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        return None
    if not hasattr(config, "turns"):
        config.turns = lanes.Turns(config.rootpath / "build" / "lanes")
    return config.turns


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Beside a test of the other worker, unless that one is quiet."""
    turns = _turns(item.config)
    with turns.test() if turns else contextlib.nullcontext():
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A quiet test: beside nothing."""
    turns = _turns(item.config) if lanes.is_quiet(item) else None
    with turns.alone() if turns else contextlib.nullcontext():
        yield


def pytest_itemcollected(item):
    """What shares a set-up stays together."""
    if not item.get_closest_marker('program'):
        item.add_marker(pytest.mark.xdist_group(item.path.name))
