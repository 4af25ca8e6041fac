# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fault comes next, how long, on whom: all from a seed and the fault's
number, so that each can be had again by itself."""

import dataclasses
import math
import random

from .faults import FAULTS

# A fault whose victim owns both volumes comes once for so many.
BOTH = 6
BLINK_S = 0.05


def length(chance, shortest, longest):
    """Seconds; short ones as often as ten times longer ones. Most of what can
    go wrong does in the first seconds, and a run has hundreds of faults."""
    if not longest:
        return 0
    return math.exp(chance.uniform(math.log(max(shortest, BLINK_S)),
                                   math.log(longest)))


@dataclasses.dataclass(frozen=True)
class Planned:
    """Fault `number`: what and for how long, and the role of its victim."""
    number: int
    fault: object
    owns: int                   # volumes that the victim owns: 0, 1, 2
    leads: bool                 # CTDB's leader, with the cluster lock
    seconds: float
    random: random.Random       # for which node, which volume …

    @property
    def role(self):
        """In words."""
        owns = ("owns nothing", "owner", "owner of both")[self.owns]
        return f"{owns}, leads" if self.leads else owns

    def __str__(self):
        return (f"{self.number}: {self.fault.name}, {self.seconds:.1f} s, "
                f"victim: {self.role}")


class Plan:
    """plan[number], for every number from 0.

    All faults come for all roles, shuffled, before one comes again: a deck
    of cards. What is not a matter of the deck is drawn for each number.
    """

    def __init__(self, seed, faults=FAULTS):
        self.seed = seed
        self.cards = [(fault, owner, leads) for fault in faults
                      for owner in fault.owners for leads in (False, True)]

    def _card(self, number):
        deck, place = divmod(number, len(self.cards))
        cards = list(self.cards)
        random.Random(f"{self.seed} deck {deck}").shuffle(cards)
        return cards[place]

    def __getitem__(self, number):
        fault, owner, leads = self._card(number)
        chance = random.Random(f"{self.seed} fault {number}")
        seconds = length(chance, *fault.seconds)
        both = chance.randrange(BOTH) == 0
        return Planned(number, fault, (2 if both else 1) if owner else 0,
                       leads, seconds, chance)
