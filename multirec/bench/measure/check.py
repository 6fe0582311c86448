"""The first part of a run: which cells can be computed, and are they right. Nothing is timed before it is over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..contestants import Float64, Loaded
from ..host.caches import compiled_files
from ..host.memory import free_bytes
from ..results.cells import Cell
from ..show.text import bytes_text, seconds_text
from .allotment import Allotment
from .context import ANSWER_LIMIT, REFERENCE, RunContext
from .plan import FIRST_LENGTH, Short, is_telling, predict, probe_lengths, shortened
from .process import Worker, WorkerError
from .references import References
from .session import Checked

# seconds: up to the first, or after a first call, calls are repeated; up to the second, a cell is checked at once
_QUICK, _SHORT = 0.3, 1.0
# seconds that an import may take, however small the budget
_LEAST_LIMIT = 2.0
# compiling a whole problem takes so much longer than compiling a short one
_COMPILING = 1.5


class Checks:
    """Screens, loads, and checks the open cells of a run."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.cases, self.budget = context.results.cases, context.budget
        self.answer_limit = ANSWER_LIMIT
        self.loaded: dict[str, Loaded | WorkerError] = {}

    def go(self) -> None:
        """Settle what cannot be timed; the other cells know their cost and their errors afterwards."""
        self._screen()
        cells = self.context.open_cells()
        if not cells:
            return
        self.time = Allotment(self.context, len(cells))
        # a hung contestant takes a part of the budget from the others, not all of it
        self.budget.allowance = ANSWER_LIMIT if compiled_files() == 0 else 0.0
        self.answer_limit = self.budget.allowance or max(self.budget.seconds / 4, _LEAST_LIMIT)
        self.context.progress.phase("load", len({cell.contestant for cell in cells}))
        self.context.add_worker(REFERENCE, Float64()).start()
        self._start([cell for cell in cells if self._comes_first(cell)])
        self.context.progress.phase("check", len(cells))
        with tempfile.TemporaryDirectory(prefix="multirec-bench-") as folder:
            self.references = References(self.context, Path(folder))
            places = sorted({cell.case for cell in cells})
            for number, place in enumerate(places):
                self._check_case(place, len(places) - number)
        self.budget.allowance = 0.0

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

    def _start(self, cells: Sequence[Cell]) -> None:
        """Start processes that import while others are checked; and one of those that compile, which does so, too."""
        compiling = [cell for cell in cells if self._compiles(cell)]
        ahead = [cell for cell in compiling if cell.contestant == compiling[0].contestant]
        workers = {cell.contestant: self.context.worker(cell) for cell in cells if not self._compiles(cell)}
        workers |= {cell.contestant: self.context.worker(cell) for cell in ahead}
        # the first that is forked waits for the import that they share; the others have begun theirs by then
        for name, worker in sorted(workers.items(), key=lambda item: item[1].forked):
            if not worker.alive and name not in self.loaded:
                self.context.progress.step(name)
                worker.start()
        for cell in ahead:
            for length in self._lengths(cell):
                self.context.worker(cell).ahead("probe", self.cases[cell.case], cell.mode, length)

    def _load(self, worker: Worker) -> Loaded:
        """Wait for the imports of a contestant, once."""
        if worker.contestant.name not in self.loaded:
            began = self.time.spent()
            try:
                self.loaded[worker.contestant.name] = worker.loaded(2 * self.answer_limit)
            except WorkerError as failure:
                self.loaded[worker.contestant.name] = failure
            self.time.imported(self.time.spent() - began)
        found = self.loaded[worker.contestant.name]
        if isinstance(found, WorkerError):
            raise found
        return found

    def _check_case(self, place: int, cases_left: int) -> None:
        cells = [cell for cell in self.context.open_cells() if cell.case == place]
        try:
            self._load(self.context.workers[REFERENCE])
            self.references.of(cells[0], 2 * self.answer_limit)
        except WorkerError as failure:
            for cell in cells:
                self.context.close(cell, failure)
            return
        self.time.begins(cases_left)
        for first in (True, False):
            those = [cell for cell in cells if self._comes_first(cell) == first]
            self._start(those)
            self._check_some(those)

    def _comes_first(self, cell: Cell) -> bool:
        return self.context.worker(cell).contestant.first

    def _compiles(self, cell: Cell) -> bool:
        return self.context.worker(cell).contestant.compiles

    def _lengths(self, cell: Cell) -> list[int]:
        return probe_lengths(self.cases[cell.case].length, self._compiles(cell))

    def _check_some(self, cells: list[Cell]) -> None:
        """Check these, what compiles after the others, and the slow ones at last."""
        later = []
        for cell in sorted(cells, key=self._compiles):
            with self._settling(cell):
                self.time.require(cell)
                cell.version, cell.device = self._load(self.context.worker(cell))
                runs = self._predict(cell)
                if cell.cost > _SHORT and not cell.shorter:
                    later.append((cell, runs))
                else:
                    self._check(cell)
        for cell, runs in sorted(later, key=lambda each: each[0].cost):
            with self._settling(cell):
                # the others may have taken the time
                if why := self.time.too_slow(cell):
                    self._shorten(cell, runs, why)
                self._check(cell)

    @contextmanager
    def _settling(self, cell: Cell) -> Iterator[None]:
        """Settle a cell with what went wrong; the time that a hung one took is given back to those that wait."""
        began = self.time.spent()
        self.context.progress.step(f"{cell.contestant} {cell.mode}")
        with self.context.settling(cell):
            yield
        if cell.status == "timeout":
            self.time.lost += self.time.spent() - began

    def _predict(self, cell: Cell) -> list[Short]:
        """Predict the cost of a whole call by short runs, if it is too long to just try; or take shorter signals."""
        case, limit, compiles = self.cases[cell.case], self.time.longest, self._compiles(cell)
        worker, lengths = self.context.worker(cell), self._lengths(cell)
        if lengths and not compiles:
            # the first call loads and compiles
            worker.ask(self.answer_limit, "probe", case, cell.mode, FIRST_LENGTH)
        runs: list[Short] = []
        compiling = 0.0
        for length in lengths:
            allowed = self.answer_limit if compiles else 2 * limit
            run, took = self._unless_slow(worker, allowed, "probe", case, cell.mode, length)
            runs.append((length, run))
            compiling = _COMPILING * took if compiles else 0.0
            if is_telling(runs, case.length, limit):
                break
        if not runs:
            return runs
        cell.cost = predict(runs, case.length)
        if why := self.time.too_slow(cell):
            self._shorten(cell, runs, why)
        elif compiling and compiling + cell.cost > max(self.time.share, limit):
            self._shorten(cell, runs, f"compiling the whole takes about {seconds_text(compiling)}; raise --time")
        return runs

    def _shorten(self, cell: Cell, runs: Sequence[Short], why: str) -> None:
        """Let a cell compute shorter signals: as long as its calls are short."""
        cell.shorter, cell.cost = shortened(runs, [] if self._compiles(cell) else self._lengths(cell))
        cell.reason = why
        if cell.cost > self.time.longest:
            raise WorkerError("too_slow", f"{seconds_text(cell.cost)} a call at T={cell.shorter} already; {why}")

    def _check(self, cell: Cell) -> None:
        worker = self.context.worker(cell)
        reference = self.references.of(cell, 2 * self.answer_limit)
        case = self.context.results.problem(cell)
        window = self.context.windows[case]
        limit = 2 * max(cell.cost, self.time.longest) if cell.cost or self._compiles(cell) else self.answer_limit
        checked: Checked = self._unless_slow(worker, limit, "check", case, cell.mode, window, reference.folder)
        cell.cost = checked.seconds
        cell.first_call, cell.errors = checked.first, checked.errors
        if not cell.shorter:
            cell.peak, cell.allocator_peak = checked.peak
        covers = "in the same way on the shorter signals" if cell.shorter else reference.covers
        cell.checked = "with its own equation in float64" if worker.contestant.own_equation else covers
        if checked.fault:
            raise WorkerError("failed_check", checked.fault)
        try:
            if not cell.shorter and (checked.seconds < _QUICK or checked.seconds == checked.first):
                limit = self.answer_limit + 4 * cell.cost
                cell.cost, peak = worker.ask(limit, "warm", case, cell.mode)
                cell.peak, cell.allocator_peak = peak
            worker.ask(self.answer_limit, "release")
        except WorkerError as error:
            # the call that was checked has its time, too
            if error.status != "no_time_left":
                raise

    def _unless_slow(self, worker: Worker, limit: float, method: str, *arguments: Any) -> Any:
        """Ask for what has been predicted to be quick; where it is not, it is too slow."""
        try:
            return worker.ask(limit, method, *arguments)
        except WorkerError as error:
            if error.status != "timeout" or limit == self.answer_limit:
                raise
            raise WorkerError("too_slow", f"its {method} was stopped after {seconds_text(limit)}") from None
