# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of all tests; pytest takes them from here only."""


def pytest_addoption(parser):
    """--samba: which Samba; --keep-bed: look at it afterwards."""
    parser.addoption("--samba", help="Samba prefix")
    parser.addoption("--keep-bed", action="store_true",
                     help="on a failure leave the bed running until Enter")
