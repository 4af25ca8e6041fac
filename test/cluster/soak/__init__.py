# SPDX-License-Identifier: GPL-3.0-or-later
"""Random faults for hours: what may happen (faults.py), what happens next
(plan.py), how it is mended (mend.py), who writes meanwhile (clients.py), what
the clients saw (table.py), and a run of all that on some beds (run.py)."""

from .clients import Clients
from .plan import Plan
from .run import Order, Run
from .scene import Scene
from .table import Table

__all__ = ["Clients", "Order", "Plan", "Run", "Scene", "Table"]
