"""What the parts of a run share: the results so far, the processes, the budget, and progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ..cases.case import Case
from ..cases.window import Window
from ..contestants import Contestant
from ..host.clock import Budget
from ..host.memory import free_bytes
from ..results.cells import Cell, Results
from ..results.journal import Journal
from .process import Worker, WorkerError, share_imports
from .request import Request

ANSWER_LIMIT = 60.0
"""Seconds for an answer that may need a compilation."""
REFERENCE = "float64 reference"
"""The name of the process that computes what is right."""


class Progress(Protocol):
    """What receives the progress of a run."""

    def phase(self, name: str, steps: int) -> None:
        """A part of the run begins, with so many steps."""

    def step(self, text: str) -> None:
        """A step begins."""

    def leader(self, cell: Cell) -> None:
        """So far, this cell is the fastest of its case and mode."""

    def settled(self, cell: Cell) -> None:
        """A cell has its status."""


class RunContext:
    """The shared parts of one run."""

    def __init__(
        self, request: Request, results: Results, budget: Budget, progress: Progress, journal: Journal
    ) -> None:
        self.request, self.results, self.budget = request, results, budget
        self.progress, self.journal = progress, journal
        self._shared = share_imports(request.contestants, request.modes)
        self.workers: dict[str, Worker] = {}
        # what is compared number by number
        self.windows: dict[Case, Window] = {}
        for contestant in request.contestants:
            self.add_worker(contestant.name, contestant)

    def worker(self, cell: Cell) -> Worker:
        """Return the process of a cell's contestant."""
        return self.workers[cell.contestant]

    def add_worker(self, name: str, contestant: Contestant) -> Worker:
        """Return a further process, under a name of its own."""
        return self.workers.setdefault(name, Worker(contestant, self.budget, self._shared))

    def open_cells(self) -> list[Cell]:
        """Return the cells that are not settled."""
        return [cell for cell in self.results.cells if cell.open]

    def close(self, cell: Cell, failure: WorkerError) -> None:
        """Settle a cell with what went wrong."""
        cell.close(failure.status, failure.reason)
        self.report(cell)

    def report(self, cell: Cell) -> None:
        """Let the journal and the user know of a settled cell."""
        self.journal.settled(cell)
        self.progress.settled(cell)

    @contextmanager
    def settling(self, cell: Cell) -> Iterator[None]:
        """Settle a cell with what its process could not do."""
        try:
            yield
        except WorkerError as failure:
            self.close(cell, failure)

    def need(self, cell: Cell) -> int:
        """Estimate the memory of a cell."""
        return self.worker(cell).contestant.memory(self.results.cases[cell.case], cell.mode)

    def fits_together(self, cells: list[Cell]) -> bool:
        """Say whether all of these may keep their arrays at once."""
        free = free_bytes()
        return free is None or sum(self.need(cell) for cell in cells) < 0.8 * free

    def release(self, worker: Worker) -> None:
        """Let a process give back its arrays."""
        if worker.alive:
            try:
                worker.ask(ANSWER_LIMIT, "release")
            except WorkerError as failure:
                self.results.notes.append(f"{worker.contestant.name} kept its memory: {failure.reason}")

    def stop_workers(self) -> None:
        """End all processes."""
        for worker in self.workers.values():
            worker.kill()
