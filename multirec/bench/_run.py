"""A run from start to end: screen, load, check, measure. Every cell ends with a status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from time import monotonic
from typing import Any, Protocol

from ._case import Case, Mode
from ._machine import describe_machine, git_state, load, versions
from ._memory import available_bytes
from ._oracle import Oracle
from ._plan import FIRST_LENGTH, is_telling, predict, probe_lengths
from ._remote import Worker, WorkerError, preload
from ._results import Cell, Results
from ._rounds import Rounds, turn_seconds
from ._session import Checked
from ._text import bytes_text, seconds_text
from .contestants import Contestant, GpuMemcpy, Loaded, Memcpy, copied_bytes

# the longest single call, of the budget
_LONGEST_CALL = 1 / 12
# what is left of it for the rounds
_FOR_ROUNDS = 0.3
# seconds: up to the first, a call is made once more for its memory; up to the second, it is checked at once
_QUICK, _SHORT = 0.3, 1.0
# a first compilation into an empty cache may take this long
_PATIENCE = 180.0
# what must be measured, even where time is scarce
BASELINES = ("scipy", "torch_loop")
_NO_TIME = "no time was left; raise --time or name fewer with -b"


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
        self.workers = {contestant.name: Worker(contestant, case) for contestant in contestants}
        self.modes = list(modes)
        self.results = Results(
            run={
                "name": "multirec bench",
                "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "elapsed_s": 0.0,
                "budget_s": budget,
                "compile_s": 0.0,
                "preset": "default",
                "seed": case.seed,
                "command": "multirec bench",
            },
            machine=describe_machine(),
            versions=versions(worker.contestant.distribution for worker in self.workers.values()),
            git=git_state(),
            cases=[case],
        )
        self.results.cells = [
            Cell(name, mode, backend=worker.contestant.backend)
            for mode in self.modes
            for name, worker in self.workers.items()
        ]
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
        self.results.run["elapsed_s"] = monotonic() - self.began
        self.results.machine["load_after"] = load()
        return self.results

    def _left(self) -> float:
        return self.budget - (monotonic() - self.began)

    def _open_cells(self, mode: Mode | None = None) -> list[Cell]:
        return [cell for cell in self.results.cells if cell.open and mode in (None, cell.mode)]

    def _close(self, cell: Cell, failure: WorkerError) -> None:
        cell.close(failure.status, failure.reason)
        self.progress.settled(cell)

    def _screen(self) -> None:
        """Settle what can be settled without importing anything."""
        free = available_bytes()
        for cell in self.results.cells:
            contestant = self.workers[cell.contestant].contestant
            missing = contestant.missing()
            if missing:
                self._close(cell, WorkerError("skipped", missing))
                continue
            declined = contestant.declines(self.case, cell.mode)
            if declined:
                self._close(cell, WorkerError("unsupported", declined))
                continue
            need = self._need(cell)
            if free is not None and need > free:
                reason = f"needs about {bytes_text(need)}, {bytes_text(free)} are free; nothing was allocated"
                self._close(cell, WorkerError("skipped", reason))

    def _load(self) -> None:
        """Start all processes; they import while the reference is computed."""
        needed = list(dict.fromkeys(cell.contestant for cell in self._open_cells()))
        self.progress.phase("load", len(needed) + 1)
        preload(self.workers[name].contestant for name in needed)
        if needed:
            self.progress.step("float64 reference")
            with ThreadPoolExecutor(1) as thread:
                started = [thread.submit(self.workers[name].start) for name in needed]
                self.oracle.compute(self.modes)
            for start in started:
                start.result()
        for name in needed:
            self.progress.step(name)
            cells = [cell for cell in self._open_cells() if cell.contestant == name]
            try:
                loaded: Loaded = self.workers[name].loaded(_PATIENCE)
            except WorkerError as failure:
                for cell in cells:
                    self._close(cell, failure)
                continue
            for cell in cells:
                cell.version, cell.device = loaded

    def _check(self) -> None:
        """Compare every cell with the reference before any is timed; what takes long comes last."""
        cells = self._in_order()
        self.progress.phase("check", len(cells))
        later = []
        for cell in cells:
            self.progress.step(f"{cell.contestant} {cell.mode}")
            with self._settling(cell):
                scarce = self._left() < _FOR_ROUNDS * self.budget and probe_lengths(self.case.length)
                if scarce and cell.contestant not in BASELINES:
                    raise WorkerError("skipped", _NO_TIME)
                self._predict(self.workers[cell.contestant], cell)
                if cell.cost > _SHORT:
                    later.append(cell)
                else:
                    self._check_one(self.workers[cell.contestant], cell)
        for cell in sorted(later, key=lambda cell: (cell.contestant not in BASELINES, cell.cost)):
            self.progress.step(f"{cell.contestant} {cell.mode}")
            reserved = sum(other.cost for other in cells if other.open and other.checked)
            with self._settling(cell):
                # a check, one timed call and the rounds of the others have to fit
                rounds = 0.0 if cell.contestant in BASELINES else _FOR_ROUNDS / 2 * self.budget
                if 2 * cell.cost + reserved + rounds > self._left():
                    raise WorkerError("skipped", _NO_TIME)
                self._check_one(self.workers[cell.contestant], cell)

    @contextmanager
    def _settling(self, cell: Cell) -> Iterator[None]:
        try:
            yield
        except WorkerError as failure:
            self._close(cell, failure)

    def _predict(self, worker: Worker, cell: Cell) -> None:
        """Predict the cost of a whole call from short runs, if it is too long to just try."""
        limit = self.budget * _LONGEST_CALL
        compiles = worker.contestant.compiles
        lengths = probe_lengths(self.case.length, compiles)
        if lengths and not compiles:
            # the first call loads and compiles
            worker.ask(_PATIENCE, "probe", cell.mode, FIRST_LENGTH)
        runs: list[tuple[int, float]] = []
        for length in lengths:
            began = monotonic()
            patience = _PATIENCE if compiles else 2 * limit
            runs.append((length, _unless_slow(worker, patience, "probe", cell.mode, length)))
            took = monotonic() - began
            if compiles and took > limit:
                reason = f"compiling a short run took {seconds_text(took)}, the limit is {seconds_text(limit)}"
                raise WorkerError("too_slow", reason)
            if len(runs) > 2 and is_telling(runs, self.case.length, limit):
                break
        if len(runs) < 2:
            return
        cell.cost = predict(runs, self.case.length)
        if cell.cost > limit:
            cost, most = seconds_text(cell.cost), seconds_text(limit)
            reason = f"{cost} a call predicted from two short runs, the limit is {most}"
            raise WorkerError("too_slow", reason)

    def _check_one(self, worker: Worker, cell: Cell) -> None:
        patience = max(4 * cell.cost, 2 * self.budget * _LONGEST_CALL) if cell.cost else _PATIENCE
        checked: Checked = _unless_slow(worker, patience, "check", cell.mode)
        cell.cost, cell.first_call, cell.peak = checked.seconds, checked.first, checked.peak
        verdict = self.oracle.judge(cell.mode, checked.shape, checked.dtype, checked.outputs)
        cell.errors, cell.checked = verdict.errors, self.oracle.window.describe(self.case)
        fault = verdict.fault or ("" if checked.finite else "y has values that are not finite")
        if fault:
            raise WorkerError("failed_check", fault)
        if checked.seconds < _QUICK:
            cell.cost, cell.peak = worker.ask(_PATIENCE, "measure_memory", cell.mode)
        worker.ask(_PATIENCE, "release")

    def _in_order(self) -> list[Cell]:
        """Return the open cells by contestant, the baselines first."""
        order = sorted(self.workers, key=lambda name: name not in BASELINES)
        return sorted(self._open_cells(), key=lambda cell: order.index(cell.contestant))

    def _measure(self) -> None:
        """Time what passed, mode by mode, in interleaved rounds."""
        timed = [cells for mode in self.modes if (cells := self._open_cells(mode))]
        if not timed:
            return
        groups = [[*group, *self._yardsticks(group)] for group in timed]
        rounds = Rounds(self.case, self.workers, self.progress.step, self._close, self._fits_together(timed))
        counts = rounds.plan(groups, self._left())
        self.progress.phase("measure", sum(map(sum, counts)))
        weights = [
            sum(turn_seconds(cell) * count for cell, count in zip(*pair, strict=True))
            for pair in zip(groups, counts, strict=True)
        ]
        for place, group in enumerate(groups):
            ends = monotonic() + self._left() * weights[place] / sum(weights[place:])
            rounds.go(group, counts[place], ends, self.began + self.budget)
        for group in timed:
            first = min(group, key=lambda cell: (not cell.backend, cell.cost))
            self.results.copies[(first.case, first.mode)] = Cell(first.contestant, first.mode)
        for cell in self._open_cells():
            cell.close("ok" if cell.samples else "too_slow", _late(cell) if not cell.samples else "")
            self.progress.settled(cell)
        self._keep_bandwidth([cell for group in groups for cell in group if cell not in self.results.cells])

    def _yardsticks(self, cells: list[Cell]) -> list[Cell]:
        """Return a copy of memory as a further cell, for each kind of device among `cells`."""
        found = []
        for kind in sorted({cell.device.split(":")[0] for cell in cells}):
            contestant = Memcpy() if kind == "cpu" else GpuMemcpy()
            worker = self.workers.setdefault(contestant.name, Worker(contestant, self.case))
            cell = Cell(contestant.name, cells[0].mode, device=kind)
            try:
                cell.cost, _ = worker.ask(_PATIENCE, "measure_memory", cell.mode)
            except WorkerError as failure:
                self.results.notes.append(f"no fraction of memcpy on {kind}: {failure.reason}")
                continue
            found.append(cell)
        return found

    def _keep_bandwidth(self, yardsticks: list[Cell]) -> None:
        moved = 2 * copied_bytes(self.case)
        for kind in {cell.device for cell in yardsticks}:
            samples = [seconds for cell in yardsticks if cell.device == kind for seconds in cell.samples]
            if samples:
                self.results.bandwidth[kind] = moved / median(samples)
                self.results.bandwidth_samples[kind] = samples

    def _fits_together(self, groups: list[list[Cell]]) -> bool:
        free = available_bytes()
        held = max(sum(self._need(cell) for cell in group) for group in groups)
        return free is None or held < free

    def _need(self, cell: Cell) -> int:
        return self.workers[cell.contestant].contestant.memory(self.case, cell.mode)


def _unless_slow(worker: Worker, patience: float, method: str, *arguments: Any) -> Any:
    """Ask for what has been predicted to be quick; where it is not, it is too slow."""
    try:
        return worker.ask(patience, method, *arguments)
    except WorkerError as error:
        if error.status != "timeout" or patience == _PATIENCE:
            raise
        raise WorkerError("too_slow", f"its {method} was stopped after {seconds_text(patience)}") from None


def _late(cell: Cell) -> str:
    return f"one call took {seconds_text(cell.cost)}, and no time was left to time it; raise --time"
