# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixture ``server``: one smbd, alone (smbd_alone.py)."""

from smbd_alone import server  # noqa: F401  pylint: disable=unused-import
