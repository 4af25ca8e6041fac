# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: stubs around an event script (event_world.py, dns_world.py)."""

# pylint: disable=unused-import
from dns_world import dns      # noqa: F401
from event_world import world  # noqa: F401
