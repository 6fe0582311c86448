"""The second part of a run: what is too slow as a whole is timed on shorter signals, a few times and without ratios."""

from __future__ import annotations

from statistics import median

from ..contestants import Sample
from ..results.cells import Cell
from ..show.text import seconds_text
from .context import ANSWER_LIMIT, RunContext
from .plan import LEAST, calls_per_sample
from .process import WorkerError
from .schedule import turn_seconds
from .timing import check_inputs, timed

# of the budget, for all samples but those of the first round
_PART = 0.1


class ShorterCells:
    """The open cells with shorter signals; all of them have their status afterwards."""

    def __init__(self, context: RunContext) -> None:
        self.context, self.budget = context, context.budget
        self.cells = sorted((cell for cell in context.open_cells() if cell.shorter), key=lambda cell: cell.cost)

    def go(self) -> None:
        """Time each of them, as often as there is time for."""
        whole = sum(turn_seconds(cell) for cell in self.context.open_cells() if not cell.shorter)
        until = self.budget.left() * (1 - _PART)
        if self.cells:
            self.context.progress.phase("shorter signals", LEAST * len(self.cells))
        for number in range(LEAST):
            for cell in self.cells:
                least = whole if number == 0 else max(until, 2 * whole)
                if cell.open and self.budget.left() - turn_seconds(cell) > least:
                    self._turn(cell, number)
        for cell in self.cells:
            if cell.open:
                with self.context.settling(cell):
                    self._settle(cell)
            self.context.release(self.context.worker(cell))

    def _turn(self, cell: Cell, number: int) -> None:
        self.context.progress.step(f"{cell.contestant} {cell.mode}")
        cell.calls = calls_per_sample(cell.cost)
        look = not self.context.worker(cell).contestant.own_equation
        limit = ANSWER_LIMIT + 20 * turn_seconds(cell)
        try:
            cell.add(timed(self.context, self.context.worker(cell), cell, limit, number, look), number, 0)
            # no more than one of them keeps its arrays
            check_inputs(self.context.worker(cell))
            self.context.release(self.context.worker(cell))
        except WorkerError as failure:
            if failure.status != "no_time_left":
                self.context.close(cell, failure)

    def _settle(self, cell: Cell) -> None:
        if not cell.samples:
            # the call that was checked was timed, too
            cell.add(Sample(cell.cost), 0, 0)
        taken = seconds_text(median(cell.samples))
        raise WorkerError("too_slow", f"{taken} a call at T={cell.shorter}, which was timed instead; {cell.reason}")
