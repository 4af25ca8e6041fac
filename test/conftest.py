# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of all tests, which pytest takes from here only, and their order."""

import os

import pytest

import beside as side

PROGRAMS = pytest.StashKey()


def pytest_addoption(parser):
    """--samba: which Samba; --keep-bed: look at it afterwards."""
    parser.addoption("--samba", help="Samba prefix")
    parser.addoption("--keep-bed", action="store_true",
                     help="on a failure leave the bed running until Enter")


def pytest_configure(config):
    """--samba holds for whatever makes a bed."""
    if config.getoption("--samba", None):
        os.environ["SOFS_SAMBA_PREFIX"] = config.getoption("--samba")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """First what may be disturbed, at last what must not be."""
    items.sort(key=side.place)


def pytest_collection_finish(session):
    """The programs begin."""
    if not session.config.option.collectonly:
        session.stash[PROGRAMS] = side.Programs(session.items)


def pytest_sessionfinish(session):
    """None stays behind, also after Ctrl-C."""
    if PROGRAMS in session.stash:
        session.stash[PROGRAMS].end()


@pytest.fixture
def beside(request):
    """What the test's own function returned (see beside.py)."""
    return request.session.stash[PROGRAMS].result(request.node)
