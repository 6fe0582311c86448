"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from multirec.bench.host.clock import Budget
from multirec.bench.results.cells import Cell
from multirec.bench.show.text import seconds_text


class Reporter:
    """Shows how far a run is: the part, its steps, what runs, the fastest so far, and what is left of the budget."""

    def __init__(self, budget: Budget) -> None:
        self.console = Console(stderr=True)
        self.budget = budget
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.started = False
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.fields[phase]:>8}"),
                BarColumn(20),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TextColumn("{task.fields[left]:>5}"),
                TextColumn("{task.description}{task.fields[leader]}"),
            )
            # drawn at steps alone: a thread that draws would take time from what is timed
            self.bar = Progress(*columns, console=self.console, transient=True, auto_refresh=False)

    def __enter__(self) -> Reporter:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def phase(self, name: str, steps: int) -> None:
        """A part of the run begins, with so many steps."""
        self.started = False
        if self.bar is None:
            self._line(f"{name}: {steps} steps")
            return
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task("", total=steps, phase=name, left="", leader="")

    def step(self, text: str) -> None:
        """A step begins."""
        if self.bar is not None and self.task is not None:
            left = f"{max(self.budget.left(), 0):.0f} s"
            self.bar.update(self.task, advance=1 if self.started else 0, description=escape(text), left=left)
            self.bar.refresh()
        self.started = True

    def leader(self, cell: Cell) -> None:
        """So far, this cell is the fastest of its case and mode."""
        if self.bar is not None and self.task is not None and cell.median is not None:
            self.bar.update(self.task, leader=f"  (fastest: {escape(cell.contestant)} {seconds_text(cell.median)})")

    def settled(self, cell: Cell) -> None:
        """A cell has its status."""
        if cell.status != "ok":
            self._line(f"{cell.contestant} {cell.mode}: {cell.status}: {cell.reason}")
        elif self.bar is None:
            self._line(f"{cell.contestant} {cell.mode}: ok, {len(cell.samples)} samples")

    def _line(self, text: str) -> None:
        self.console.print(f"[{self.budget.elapsed():5.1f} s] {text}", markup=False, highlight=False, soft_wrap=True)
