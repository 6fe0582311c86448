"""What is right, by problem: computed once by the process of the reference, and kept in files while checks go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

from ..cases.case import Case, Mode
from ..cases.window import drawn_window
from ..results.cells import Cell
from .context import REFERENCE, RunContext
from .process import WorkerError

# of the budget, for what the reference has beyond what is compared number by number
_COVERING = 1 / 20
_RANDOM = SystemRandom()


class Kept(NamedTuple):
    """Where the reference of a problem is kept, and what it covers in words."""

    folder: Path
    covers: str


class References:
    """The references of a run; what of them is compared number by number is drawn here, and kept in the context."""

    def __init__(self, context: RunContext, folder: Path) -> None:
        self.context, self.folder = context, folder
        self._kept: dict[Case, Kept | WorkerError] = {}

    def of(self, cell: Cell, limit: float) -> Kept:
        """Return the reference of what a cell computes; raise `WorkerError` where there is none."""
        problem = self.context.results.problem(cell)
        if problem not in self._kept:
            modes = [other.mode for other in self.context.results.cells if other.case == cell.case and other.open]
            try:
                self._kept[problem] = self._computed(problem, sorted(set(modes)), limit)
            except WorkerError as failure:
                reason = f"the float64 reference could not be computed: {failure.reason}"
                self._kept[problem] = WorkerError("skipped", reason)
        found = self._kept[problem]
        if isinstance(found, WorkerError):
            raise found
        return found

    def _computed(self, problem: Case, modes: Sequence[Mode], limit: float) -> Kept:
        self.context.progress.step(REFERENCE)
        draw = _RANDOM.getrandbits(32)
        window = self.context.windows[problem] = drawn_window(problem, draw)
        folder, seconds = self.folder / str(len(self._kept)), _COVERING * self.context.budget.seconds
        covers = self.context.workers[REFERENCE].ask(limit, "reference", problem, modes, window, draw, folder, seconds)
        return Kept(folder, covers)
