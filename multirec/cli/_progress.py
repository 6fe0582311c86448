"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from multirec.bench._results import Cell


class Reporter:
    """Shows how far a run is."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.began = monotonic()
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.started = False
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.fields[phase]:>8}"),
                BarColumn(24),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            )
            self.bar = Progress(
                *columns, TimeElapsedColumn(), TextColumn("{task.description}"), console=self.console, transient=True
            )

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
        self.task = self.bar.add_task("", total=steps, phase=name)

    def step(self, text: str) -> None:
        """A step begins."""
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, advance=1 if self.started else 0, description=escape(text))
        self.started = True

    def settled(self, cell: Cell) -> None:
        """A cell has its status."""
        if cell.status != "ok":
            self._line(f"{cell.contestant} {cell.mode}: {cell.status}: {cell.reason}")
        elif self.bar is None:
            self._line(f"{cell.contestant} {cell.mode}: ok, {len(cell.samples)} samples")

    def _line(self, text: str) -> None:
        self.console.print(f"[{monotonic() - self.began:5.1f} s] {text}", markup=False, highlight=False, soft_wrap=True)
