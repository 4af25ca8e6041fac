# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test or the demo does with a bed: volumes by the admin's tool,
streams by the client."""

from .connect import Connects
from .follow import Followers, followed
from .ledger import accounted
from .running import Running, Stream
from .session import Session
from .volume import Volume
from .witness import Witness

__all__ = ["Connects", "Followers", "Running", "Session", "Stream", "Volume",
           "Witness", "accounted", "followed"]
