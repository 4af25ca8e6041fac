# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixture ``world``: stubs around the event script (event_world.py)."""

from event_world import world  # noqa: F401  pylint: disable=unused-import
