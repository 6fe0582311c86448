"""The timed part of a run: interleaved rounds, in which a copy of memory takes part as the yardstick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from ._case import Case
from ._plan import LEAST, calls_per_sample, rounds, share
from ._remote import Worker, WorkerError
from ._results import Cell

# a call cheaper than this has an untimed one before it, that wakes its threads and its pages
_WARM = 0.1
# a call cheaper than this is timed once even where the time is up
_ANYWAY = 0.2
# seconds for making the arrays, and for a process that had to be started again
_PATIENCE = 30.0
# what a turn costs besides its calls
_OVERHEAD = 0.003


def turn_seconds(cell: Cell) -> float:
    """Return what a turn of a cell takes in all."""
    return cell.cost * (cell.calls + (cell.cost < _WARM)) + _OVERHEAD


class Rounds:
    """Rounds of all open cells, mode by mode.

    Parameters
    ----------
    case
        For its seed.
    workers
        By contestant.
    step, failed
        Told of every turn, and of a cell that failed.
    hold
        Whether all workers may keep their arrays between turns.
    """

    def __init__(
        self,
        case: Case,
        workers: dict[str, Worker],
        step: Callable[[str], None],
        failed: Callable[[Cell, WorkerError], None],
        hold: bool,
    ) -> None:
        self.case, self.workers, self.step, self.failed, self.hold = case, workers, step, failed, hold

    def plan(self, groups: Sequence[Sequence[Cell]], seconds: float) -> list[list[int]]:
        """Return how many turns each cell of each group (a mode) gets in `seconds`."""
        cells = [cell for group in groups for cell in group]
        for cell in cells:
            cell.calls = calls_per_sample(cell.cost)
        counts = iter(share([turn_seconds(cell) for cell in cells], seconds))
        return [[next(counts) for _ in group] for group in groups]

    def go(self, cells: Sequence[Cell], counts: Sequence[int], ends: float, at_last: float) -> None:
        """Run the rounds of one mode until they are done or the clock says `ends`.

        A first turn, of what is cheap the first few, may end by `at_last`; and what is cheap has one in any case.
        """
        for number, turns in enumerate(rounds(counts, self.case.seed)):
            for position, who in enumerate(turns):
                cell = cells[who]
                cheap = cell.cost < _ANYWAY
                until = at_last if len(cell.samples) < (LEAST if cheap else 1) else ends
                in_time = monotonic() + turn_seconds(cell) < until
                if cell.open and (in_time or (cheap and not cell.samples)):
                    self._turn(cell, (number, position))

    def _turn(self, cell: Cell, position: tuple[int, int]) -> None:
        self.step(f"{cell.contestant} {cell.mode}")
        worker, limit = self.workers[cell.contestant], _PATIENCE + 20 * turn_seconds(cell)
        try:
            cell.add(worker.ask(limit, "time", cell.mode, cell.calls, cell.cost < _WARM), *position)
            if not self.hold:
                worker.ask(limit, "release")
        except WorkerError as failure:
            self.failed(cell, failure)
