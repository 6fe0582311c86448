"""A contestant's turn: what keeps its calls apart, and what is seen of one of them.

Before each call the sign of x is changed at one sample of all rows, and that of the gradient of y at another. So no two
calls in a row have the same result, and still the arrays stay where they are: what was in a cache still is.
"""

from __future__ import annotations

from random import SystemRandom
from time import sleep
from typing import Any, NamedTuple

import numpy as np

from ..cases.case import Case
from ..cases.changes import Change
from ..cases.signals import Outputs, Signals
from ..cases.window import has_time
from ..contestants import Contestant

# a result is looked at again after so many seconds, of the first looks
_LATER, _TWICE = 0.03, 2
_RANDOM = SystemRandom()


class Look(NamedTuple):
    """What was seen of a timed call: one channel of all examples, at once after the call and, if so, again later.

    `at` is where the inputs differed from those of the case.
    """

    at: Change
    channel: int
    found: Outputs
    later: Outputs | None


class Turns:
    """All turns of a contestant in a case and mode, on arrays that it got."""

    def __init__(self, contestant: Contestant, case: Case, arrays: Signals, length: int) -> None:
        self.contestant, self.case, self.arrays, self.length = contestant, case, arrays, length
        self.at: Change | None = None
        self.begin(0)
        self.twice = _TWICE

    def begin(self, calls: int) -> None:
        """Begin a turn of so many calls, of which one is looked at; none of no calls."""
        self.awaited = _RANDOM.randrange(calls) if calls else -1
        self.seen: Look | None = None

    def change(self) -> None:
        """Change the inputs; what was changed before is as it was."""
        self.restore()
        self.at = Change(_RANDOM.randrange(self.length), _RANDOM.randrange(self.length))
        self.contestant.change(self.case, self.arrays, self.at)

    def restore(self) -> None:
        """Give the inputs the values of the case again."""
        if self.at is not None:
            self.contestant.change(self.case, self.arrays, self.at)
        self.at = None

    def look(self, result: Any) -> None:
        """Look at the result of the call that was drawn, and at no other."""
        self.awaited -= 1
        if self.awaited != -1:
            return
        assert self.at is not None
        channel, later = _RANDOM.randrange(self.case.channels), None
        found = self._part(result, channel)
        if self.twice > 0:
            self.twice -= 1
            sleep(_LATER)
            later = self._part(result, channel)
        self.seen = Look(self.at, channel, found, later)

    def _part(self, result: Any, channel: int) -> Outputs:
        case = self.case
        index = {"BCT": (slice(None), channel), "BTC": (slice(None), slice(None), channel), "TBC": (slice(None),) * 2}
        place = (*index[case.layout], channel) if case.layout == "TBC" else index[case.layout]
        own = {name: array for name, array in result.items() if not (name == "x" and case.x_channels != case.channels)}
        part = {
            name: array[place if has_time(case, name) else channel]
            for name, array in own.items()
            if not (case.features and name == "x")
        }
        return {name: np.array(array) for name, array in self.contestant.outputs(part).items()}
