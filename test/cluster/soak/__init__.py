# SPDX-License-Identifier: GPL-3.0-or-later
"""Random faults for hours: what may happen (faults.py), what happens next
(plan.py), how it is mended (mend.py), who writes meanwhile (clients.py), and
what the clients saw (table.py)."""

from .clients import Clients
from .faults import FAULTS
from .mend import Mender
from .plan import Plan
from .scene import Scene
from .table import Table

__all__ = ["Clients", "FAULTS", "Mender", "Plan", "Scene", "Table"]
