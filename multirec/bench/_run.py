"""A run from start to end: screen, load, check, measure. Every cell ends with a status."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Protocol

from ._case import Case, Mode
from ._machine import describe_machine
from ._memory import available_bytes
from ._oracle import Oracle
from ._plan import calls_per_sample, is_telling, predict, probe_lengths, rounds, share
from ._remote import Worker, WorkerFailure
from ._results import Cell, Results
from ._text import bytes_text, seconds_text
from ._worker import Checked
from .contestants import Contestant, GpuMemcpy, Loaded, Memcpy, copied_bytes

# of the budget: the longest single call, and what may be gone when the last check starts
_LONGEST_CALL = 1 / 10
_CHECKS_END = 0.7
_CHEAP = 0.2
# a first compilation into an empty cache may take this long
_PATIENCE = 180.0


class Progress(Protocol):
    """Who is told how far a run is."""

    def phase(self, name: str, steps: int) -> None:
        """A part of the run begins, with so many steps."""

    def step(self, text: str) -> None:
        """A step begins."""

    def settled(self, cell: Cell) -> None:
        """A cell has its status."""


class Run:
    """One run. `results` is complete, or as complete as it was when interrupted, whenever `go` returns."""

    def __init__(
        self, contestants: Iterable[Contestant], case: Case, modes: Iterable[Mode], budget: float, progress: Progress
    ) -> None:
        self.case, self.budget, self.progress = case, budget, progress
        self.results = Results(case, describe_machine(), budget)
        self.workers = {contestant.name: Worker(contestant, case) for contestant in contestants}
        self.modes = list(modes)
        self.results.cells = [Cell(name, mode) for mode in self.modes for name in self.workers]
        self.oracle = Oracle(case)
        self.began = monotonic()

    def go(self) -> Results:
        """Run, and return the results; Ctrl-C ends it early and keeps what there is."""
        try:
            self._screen()
            self._load()
            self._check()
            self._measure()
        except KeyboardInterrupt:
            self.results.interrupted = True
        finally:
            for worker in self.workers.values():
                worker.kill()
        for cell in self.results.cells:
            if cell.open and cell.samples:
                cell.close("ok")
            cell.close("skipped", "interrupted before it was timed")
        self.results.elapsed = monotonic() - self.began
        return self.results

    def _left(self) -> float:
        return self.budget - (monotonic() - self.began)

    def _open_cells(self, mode: Mode | None = None) -> list[Cell]:
        return [cell for cell in self.results.cells if cell.open and mode in (None, cell.mode)]

    def _close(self, cell: Cell, failure: WorkerFailure) -> None:
        cell.close(failure.status, failure.reason)
        self.progress.settled(cell)

    def _screen(self) -> None:
        """Settle what can be settled without importing anything."""
        free = available_bytes()
        for cell in self.results.cells:
            contestant = self.workers[cell.contestant].contestant
            missing = contestant.missing()
            if missing:
                self._close(cell, WorkerFailure("skipped", missing))
                continue
            declined = contestant.declines(self.case, cell.mode)
            if declined:
                self._close(cell, WorkerFailure("unsupported", declined))
                continue
            need = contestant.memory(self.case, cell.mode)
            if free is not None and need > free:
                reason = f"needs about {bytes_text(need)}, {bytes_text(free)} are free; nothing was allocated"
                self._close(cell, WorkerFailure("skipped", reason))

    def _load(self) -> None:
        """Start all processes; they import while the reference is computed."""
        needed = list(dict.fromkeys(cell.contestant for cell in self._open_cells()))
        self.progress.phase("load", len(needed) + 1)
        for name in needed:
            self.workers[name].start()
        if needed:
            self.progress.step("float64 reference")
            self.oracle.compute(self.modes)
        for name in needed:
            self.progress.step(name)
            cells = [cell for cell in self._open_cells() if cell.contestant == name]
            try:
                loaded: Loaded = self.workers[name].loaded(_PATIENCE)
            except WorkerFailure as failure:
                for cell in cells:
                    self._close(cell, failure)
                continue
            for cell in cells:
                cell.version, cell.device = loaded

    def _check(self) -> None:
        """Compare every cell with the reference before any is timed."""
        cells = sorted(self._open_cells(), key=lambda cell: list(self.workers).index(cell.contestant))
        self.progress.phase("check", len(cells))
        for cell in cells:
            self.progress.step(f"{cell.contestant} {cell.mode}")
            try:
                self._check_one(self.workers[cell.contestant], cell)
            except WorkerFailure as failure:
                self._close(cell, failure)

    def _check_one(self, worker: Worker, cell: Cell) -> None:
        expected = self._predict(worker, cell)
        limit = self.budget * _LONGEST_CALL
        if expected is not None and expected > limit:
            reason = f"a call would take about {seconds_text(expected)}, the limit is {seconds_text(limit)}"
            raise WorkerFailure("too_slow", f"{reason} (predicted from two short runs; raise --time)")
        used = self.budget - self._left() + (expected or 0.0)
        if used > _CHECKS_END * self.budget and (expected or _CHEAP) > _CHEAP:
            raise WorkerFailure("skipped", "the time was used up before its turn; raise --time or name fewer with -b")
        checked: Checked = worker.ask(_PATIENCE, "check", cell.mode)
        cell.first_call = cell.first_call or checked.seconds
        cell.cost, cell.peak = checked.seconds, checked.peak
        verdict = self.oracle.judge(cell.mode, checked.shape, checked.dtype, checked.outputs)
        cell.errors, cell.checked = verdict.errors, self.oracle.window.describe(self.case)
        fault = verdict.fault or ("" if checked.finite else "y has values that are not finite")
        if fault:
            raise WorkerFailure("failed_check", fault)
        if checked.seconds < limit / 4:
            cell.cost, cell.peak = worker.ask(_PATIENCE, "measure_memory", cell.mode)
        worker.ask(_PATIENCE, "release")

    def _predict(self, worker: Worker, cell: Cell) -> float | None:
        """Extrapolate the time of a whole call from short runs; None where the whole is short itself."""
        runs: list[tuple[int, float]] = []
        for length in probe_lengths(self.case.length):
            if not runs:
                # the first call loads and compiles
                cell.first_call = worker.ask(_PATIENCE, "probe", cell.mode, length)
            runs.append((length, worker.ask(_PATIENCE, "probe", cell.mode, length)))
            if len(runs) > 1 and is_telling(runs[-1][1]):
                break
        return predict(runs[-2], runs[-1], self.case.length) if len(runs) > 1 else None

    def _measure(self) -> None:
        """Time what passed, mode by mode, in rounds."""
        for place, mode in enumerate(self.modes):
            cells = self._open_cells(mode)
            if not cells:
                continue
            later = sum(cell.cost for cell in self._open_cells() if cell not in cells and not cell.samples)
            here = sum(cell.cost for cell in cells)
            weight = 1.0 if place + 1 == len(self.modes) else max(here / (here + later), 0.5) if here + later else 1.0
            Rounds(self, mode, cells, max(self._left() * weight, 0.0)).go()


class Rounds:
    """The interleaved rounds of one mode, with the yardsticks among the contestants."""

    def __init__(self, run: Run, mode: Mode, cells: list[Cell], budget: float) -> None:
        self.run, self.mode, self.cells = run, mode, list(cells)
        self.ends = monotonic() + budget
        self.budget = budget
        self.workers = [run.workers[cell.contestant] for cell in cells]
        self.yardsticks: list[Cell] = []
'''
