"""How much of a run's time checks may have: each cell, each case, and those that come first before those that wait."""

from __future__ import annotations

from ..results.cells import Cell
from ..show.text import seconds_text
from .context import RunContext
from .plan import LEAST, probe_lengths
from .process import NO_TIME, WorkerError

# the longest single call, of the budget, and of what each cell has of it
_LONGEST_CALL, _LONGEST_SHARE = 1 / 12, 0.7
# when checking ends, of what is left when it begins: for those that can wait, and for all
_UNTIL, _AT_LAST = 0.6, 0.7
# what it takes to begin the rounds: seconds, and no more of the budget than this
_TO_BEGIN, _MOST_TO_BEGIN = 3.0, 0.15
# a sample is assumed to take so much more than the call that was checked
_SLACK = 1.5
# seconds: a call as quick as this is checked however late it is
_QUICK = 0.3


class Allotment:
    """The time of checks in a run of so many cells."""

    def __init__(self, context: RunContext, cells: int) -> None:
        self.context, self.budget = context, context.budget
        self.share = _LONGEST_SHARE * self.budget.seconds / cells
        self.longest = min(_LONGEST_CALL * self.budget.seconds, self.share)
        # seconds that hung contestants took
        self.lost = 0.0
        # when checks began; of the case at hand, and how many cases are left with it
        self.first: float | None = None
        self.began, self.cases_left = 0.0, 1

    def spent(self) -> float:
        """Return the seconds of the budget that are spent."""
        return self.budget.seconds - self.budget.left()

    def begins(self, cases_left: int) -> None:
        """The checks of a case begin."""
        self.began, self.cases_left = self.spent(), cases_left
        self.first = self.began if self.first is None else self.first

    def imported(self, seconds: float) -> None:
        """So long took an import, which serves all cases: it is not taken from the time of this one."""
        self.began += seconds
        self.first = None if self.first is None else self.first + seconds

    def require(self, cell: Cell) -> None:
        """Raise where it is too late to begin with a cell."""
        # what turned out to be quick once it was loaded is checked however late
        if self.spent() > self._deadline(cell) and not 0 < cell.cost < _QUICK:
            raise WorkerError("no_time_left", NO_TIME)
        if self.needed(cell) > self.budget.left():
            raise WorkerError("no_time_left", NO_TIME)

    def too_slow(self, cell: Cell) -> str:
        """Say why a cell whose cost was predicted is not timed as a whole, or nothing."""
        cost, most = seconds_text(cell.cost), seconds_text(self.longest)
        if cell.cost > self.longest:
            return f"the whole takes {cost} a call, predicted from short runs, the limit is {most}; raise --time"
        if self.needed(cell) > self.budget.left():
            return f"the whole takes about {cost} a call, predicted from short runs, and {NO_TIME}"
        return ""

    def needed(self, cell: Cell) -> float:
        """Return the seconds for a check and a sample of a cell, and for what those before it have to have first."""
        checked = [other.cost for other in self.context.open_cells() if other.errors]
        # a sample of all that is quicker; for what can wait, all that the others need
        others = LEAST * sum(checked) if self._waits(cell) else sum(cost for cost in checked if cost <= cell.cost)
        to_begin = min(_TO_BEGIN, _MOST_TO_BEGIN * self.budget.seconds)
        return cell.cost + _SLACK * (others + cell.cost) + to_begin

    def _is_short(self, cell: Cell) -> bool:
        return not probe_lengths(self.context.results.cases[cell.case].length)

    def _waits(self, cell: Cell) -> bool:
        return not (self._is_short(cell) or self.context.worker(cell).contestant.first)

    def _deadline(self, cell: Cell) -> float:
        """Return when checks of a cell end, in seconds of the budget; short cases need not wait for their turn."""
        if self._is_short(cell):
            return self._all(_AT_LAST)
        last = self._end(_AT_LAST)
        return min(self._end(_UNTIL) + self.lost, last) if self._waits(cell) else last

    def _end(self, part: float) -> float:
        """Return when checks of this case end, if those of all cases have a part of the time."""
        return self.began + max(self._all(part) - self.began, 0.0) / self.cases_left

    def _all(self, part: float) -> float:
        first = self.first or 0.0
        return first + part * (self.budget.seconds - first)
