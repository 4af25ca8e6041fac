# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that the bed raises for failures that it expects."""


class BedError(Exception):
    """Something about the bed is wrong; the text says what and where."""
