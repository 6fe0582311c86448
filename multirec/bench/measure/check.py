"""The first part of a run: which cells can be computed, and are they right. Nothing is timed before it is over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Any

from ..cases.window import drawn_window
from ..contestants import Float64, Loaded
from ..host.caches import compiled_files
from ..host.memory import free_bytes
from ..results.cells import Cell
from ..show.text import bytes_text, seconds_text
from .context import ANSWER_LIMIT, REFERENCE, RunContext
from .plan import FIRST_LENGTH, LEAST, is_telling, predict, probe_lengths
from .process import NO_TIME, Worker, WorkerError
from .session import Checked

# the longest single call, of the budget, and of what each cell has of it
_LONGEST_CALL, _LONGEST_SHARE = 1 / 12, 2.5
# when checking ends, of the budget: for those that can wait, and for all
_UNTIL, _AT_LAST = 0.45, 0.6
# what it takes to begin the rounds: seconds, and no more of the budget than this
_TO_BEGIN, _MOST_TO_BEGIN = 3.0, 0.15
# a sample is assumed to take so much more than the call that was checked
_SLACK = 1.5
# seconds: up to the first, or after a first call, calls are repeated; up to the second, a cell is checked at once
_QUICK, _SHORT = 0.3, 1.0
# seconds that an import may take, however small the budget
_LEAST_LIMIT = 2.0
# of the budget, for what the reference has beyond what is compared number by number
_COVERING = 1 / 20
_RANDOM = SystemRandom()


class Checks:
    """Screens, loads, and checks the open cells of a run."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.cases, self.budget = context.results.cases, context.budget
        self.longest, self.answer_limit = 0.0, ANSWER_LIMIT
        # seconds that hung contestants took
        self.lost = 0.0
        # of the case at hand: when its checks began, and how many cases are left with it
        self.began, self.cases_left = 0.0, 1
        self.loaded: dict[str, Loaded | WorkerError] = {}
        self.covered = ""

    def go(self) -> None:
        """Settle what cannot be timed; the other cells know their cost and their errors afterwards."""
        self._screen()
        cells = self.context.open_cells()
        if not cells:
            return
        self.longest = self.budget.seconds * min(_LONGEST_CALL, _LONGEST_SHARE / len(cells))
        # a hung contestant takes a part of the budget from the others, not all of it
        self.budget.compile_allowance = ANSWER_LIMIT if compiled_files() == 0 else 0.0
        self.answer_limit = self.budget.compile_allowance or max(self.budget.seconds / 4, _LEAST_LIMIT)
        self._start(cells)
        self.context.progress.phase("check", len(cells))
        with tempfile.TemporaryDirectory(prefix="multirec-bench-") as folder:
            places = sorted({cell.case for cell in cells})
            for number, place in enumerate(places):
                self.cases_left = len(places) - number
                self._check_case(place, Path(folder) / str(place))
        self.budget.compile_allowance = 0.0

    def _spent(self) -> float:
        return self.budget.seconds - self.budget.left()

    def _screen(self) -> None:
        """Settle what can be settled without importing anything."""
        free = free_bytes()
        for cell in self.context.open_cells():
            contestant = self.context.worker(cell).contestant
            with self.context.settling(cell):
                missing = contestant.missing()
                if missing:
                    raise WorkerError("skipped", missing)
                declined = contestant.declines(self.cases[cell.case], cell.mode)
                if declined:
                    raise WorkerError("unsupported", declined)
                need = self.context.need(cell)
                if free is not None and need > free:
                    sizes = f"needs about {bytes_text(need)}, {bytes_text(free)} are free"
                    raise WorkerError("skipped", f"{sizes}; nothing was allocated; lower -B, -C or -T")

    def _start(self, cells: list[Cell]) -> None:
        """Start the processes of the first contestants at once; they import while the reference is computed."""
        workers = {cell.contestant: self.context.worker(cell) for cell in cells}
        self.context.progress.phase("load", len(workers))
        self.context.add_worker(REFERENCE, Float64()).start()
        # the first that is forked waits for the import that they share; the others have begun theirs by then
        for name, worker in sorted(workers.items(), key=lambda item: item[1].forked):
            self.context.progress.step(name)
            if worker.contestant.first:
                worker.start()

    def _load(self, worker: Worker, cell: Cell) -> None:
        """Wait for the imports of a cell's contestant, once."""
        if worker.contestant.name not in self.loaded:
            began = self._spent()
            try:
                self.loaded[worker.contestant.name] = worker.loaded(2 * self.answer_limit)
            except WorkerError as failure:
                self.loaded[worker.contestant.name] = failure
            # imports serve all cases, so they are not taken from this one's share
            self.began += self._spent() - began
        found = self.loaded[worker.contestant.name]
        if isinstance(found, WorkerError):
            raise found
        cell.version, cell.device = found

    def _check_case(self, place: int, folder: Path) -> None:
        cells = [cell for cell in self.context.open_cells() if cell.case == place]
        if not self._reference(place, folder, cells):
            return
        self.began = self._spent()
        for first in (True, False):
            self._check_some([cell for cell in cells if self._comes_first(cell) == first], folder)

    def _comes_first(self, cell: Cell) -> bool:
        return self.context.worker(cell).contestant.first

    def _compiles(self, cell: Cell) -> bool:
        return self.context.worker(cell).contestant.compiles

    def _check_some(self, cells: list[Cell], folder: Path) -> None:
        """Check these, what compiles after the others, and the slow ones at last."""
        later = []
        for cell in sorted(cells, key=self._compiles):
            with self._settling(cell):
                self._in_time(cell)
                self._load(self.context.worker(cell), cell)
                self._predict(self.context.worker(cell), cell)
                self._in_time(cell)
                if cell.cost > _SHORT:
                    later.append(cell)
                else:
                    self._check(self.context.worker(cell), cell, folder)
        for cell in sorted(later, key=lambda cell: cell.cost):
            with self._settling(cell):
                self._in_time(cell)
                self._check(self.context.worker(cell), cell, folder)

    @contextmanager
    def _settling(self, cell: Cell) -> Iterator[None]:
        """Settle a cell with what went wrong; the time that a hung one took is given back to those that wait."""
        began = self._spent()
        self.context.progress.step(f"{cell.contestant} {cell.mode}")
        with self.context.settling(cell):
            yield
        if cell.status == "timeout":
            self.lost += self._spent() - began

    def _reference(self, place: int, folder: Path, cells: list[Cell]) -> bool:
        self.context.progress.step(REFERENCE)
        modes = list(dict.fromkeys(cell.mode for cell in sorted(cells, key=lambda cell: cell.mode)))
        worker = self.context.workers[REFERENCE]
        try:
            if REFERENCE not in self.loaded:
                self.loaded[REFERENCE] = worker.loaded(2 * self.answer_limit)
            case, draw = self.cases[place], _RANDOM.getrandbits(32)
            window = self.context.windows[place] = drawn_window(case, draw)
            seconds = _COVERING * self.budget.seconds
            self.covered = worker.ask(2 * self.answer_limit, "reference", case, modes, window, draw, folder, seconds)
        except WorkerError as failure:
            reason = f"the float64 reference could not be computed: {failure.reason}"
            for cell in cells:
                self.context.close(cell, WorkerError("skipped", reason))
            return False
        return True

    def _in_time(self, cell: Cell) -> None:
        """Raise where it is too late to begin with a cell, or too little time is left for it."""
        # what turned out to be quick once it was loaded is checked however late
        if self._spent() > self._deadline(cell) and not 0 < cell.cost < _QUICK:
            raise WorkerError("skipped", NO_TIME)
        if self._needed(cell) > self.budget.left():
            if not cell.cost:
                raise WorkerError("skipped", NO_TIME)
            cost = seconds_text(cell.cost)
            raise WorkerError("too_slow", f"about {cost} a call, predicted from short runs; {NO_TIME}")

    def _is_short(self, cell: Cell) -> bool:
        return not probe_lengths(self.cases[cell.case].length)

    def _waits(self, cell: Cell) -> bool:
        return not (self._is_short(cell) or self._comes_first(cell))

    def _deadline(self, cell: Cell) -> float:
        """Return when checks of a cell end, in seconds of the budget; short cases need not wait for their turn."""
        if self._is_short(cell):
            return _AT_LAST * self.budget.seconds
        last = self._end(_AT_LAST)
        return min(self._end(_UNTIL) + self.lost, last) if self._waits(cell) else last

    def _end(self, part: float) -> float:
        """Return when checks of this case end, if those of all cases end after a part of the budget."""
        return self.began + max(part * self.budget.seconds - self.began, 0.0) / self.cases_left

    def _needed(self, cell: Cell) -> float:
        """Return the seconds for a check and a sample of a cell, and for what those before it have to have first."""
        checked = [other.cost for other in self.context.open_cells() if other.errors]
        # a sample of all that is quicker; for what can wait, all that the others need
        others = LEAST * sum(checked) if self._waits(cell) else sum(cost for cost in checked if cost <= cell.cost)
        to_begin = min(_TO_BEGIN, _MOST_TO_BEGIN * self.budget.seconds)
        return cell.cost + _SLACK * (others + cell.cost) + to_begin

    def _predict(self, worker: Worker, cell: Cell) -> None:
        """Predict the cost of a whole call from short runs, if it is too long to just try."""
        case, limit, compiles = self.cases[cell.case], self.longest, self._compiles(cell)
        lengths = probe_lengths(case.length, compiles)
        if lengths and not compiles:
            # the first call loads and compiles
            worker.ask(self.answer_limit, "probe", case, cell.mode, FIRST_LENGTH)
        runs: list[tuple[int, float]] = []
        for length in lengths:
            allowed = self.answer_limit if compiles else 2 * limit
            spent = self.budget.elapsed()
            runs.append((length, self._unless_slow(worker, allowed, "probe", case, cell.mode, length)))
            took = self.budget.elapsed() - spent
            if compiles and took > limit:
                reason = f"compiling a short run took {seconds_text(took)}, the limit is {seconds_text(limit)}"
                raise WorkerError("too_slow", reason)
            if len(runs) > 2 and is_telling(runs, case.length, limit):
                break
        if not runs:
            return
        cell.cost = predict(runs, case.length)
        if cell.cost > limit:
            cost, most = seconds_text(cell.cost), seconds_text(limit)
            reason = f"{cost} a call predicted from short runs, the limit is {most}; raise --time"
            raise WorkerError("too_slow", reason)

    def _check(self, worker: Worker, cell: Cell, folder: Path) -> None:
        case = self.cases[cell.case]
        window = self.context.windows[cell.case]
        limit = 2 * max(cell.cost, self.longest) if cell.cost or self._compiles(cell) else self.answer_limit
        checked: Checked = self._unless_slow(worker, limit, "check", case, cell.mode, window, folder)
        cell.cost = checked.seconds
        cell.first_call, cell.errors = checked.first, checked.errors
        cell.peak, cell.allocator_peak = checked.peak
        own = self.context.worker(cell).contestant.own_equation
        cell.checked = "with its own equation in float64" if own else self.covered
        if checked.fault:
            raise WorkerError("failed_check", checked.fault)
        if checked.seconds < _QUICK or checked.seconds == checked.first:
            cell.cost, peak = worker.ask(self.answer_limit, "warm", case, cell.mode)
            cell.peak, cell.allocator_peak = peak
        worker.ask(self.answer_limit, "release")

    def _unless_slow(self, worker: Worker, limit: float, method: str, *arguments: Any) -> Any:
        """Ask for what has been predicted to be quick; where it is not, it is too slow."""
        try:
            return worker.ask(limit, method, *arguments)
        except WorkerError as error:
            if error.status != "timeout" or limit == self.answer_limit:
                raise
            raise WorkerError("too_slow", f"its {method} was stopped after {seconds_text(limit)}") from None
