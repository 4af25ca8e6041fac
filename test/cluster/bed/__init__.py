# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of real nodes in namespaces on one machine.

``Bed`` builds and drives it; see README.md beside this package.
"""

from .bed import Bed
from .errors import BedError

__all__ = ["Bed", "BedError"]
