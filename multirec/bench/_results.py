"""The cells of a run, their status, and the JSON document made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from statistics import median, quantiles
from typing import Any, Literal, TypeAlias

from ._case import Case, Mode

Status: TypeAlias = Literal["ok", "skipped", "unsupported", "failed_check", "timeout", "oom", "crash", "too_slow"]
BASELINES = ("scipy", "torch_loop")
"""What ratios refer to: the first forward on a CPU, the second otherwise."""
SCHEMA = "multirec.bench/1"


class Exit(IntEnum):
    """The exit codes of the command line; 1 is Python's own, 3 and 6 belong to `compare`."""

    FINE = 0
    USAGE = 2
    WRONG = 4
    NOTHING_RAN = 5
    BROKE = 7
    INTERRUPTED = 130


@dataclass
class Cell:
    """One contestant in one mode, and all that is known of it so far. Times are seconds, sizes bytes."""

    contestant: str
    mode: Mode
    status: Status | None = None
    reason: str = ""
    version: str = ""
    device: str = "cpu"
    first_call: float | None = None
    cost: float = 0.0
    peak: int | None = None
    errors: dict[str, float] = field(default_factory=dict)
    checked: str = ""
    samples: list[float] = field(default_factory=list)
    positions: list[tuple[int, int]] = field(default_factory=list)
    calls: int = 1

    @property
    def open(self) -> bool:
        """Whether it is still on its way to a result."""
        return self.status is None

    def close(self, status: Status, reason: str = "") -> None:
        """Settle the status; the first reason given stays."""
        if self.status is None:
            self.status, self.reason = status, reason

    @property
    def median(self) -> float | None:
        """The median of the samples, if any."""
        return median(self.samples) if self.samples else None

    @property
    def spread(self) -> float | None:
        """The interquartile range of the samples, from two samples on."""
        if len(self.samples) < 2:
            return None
        low, _, high = quantiles(self.samples, n=4, method="inclusive")
        return high - low


@dataclass
class Results:
    """A whole run."""

    case: Case
    machine: dict[str, Any]
    budget: float
    cells: list[Cell] = field(default_factory=list)
    bandwidth: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    elapsed: float = 0.0
    interrupted: bool = False

    def baseline(self, mode: Mode) -> Cell | None:
        """Return what ratios of a mode refer to: scipy forward on a CPU, else torch_loop."""
        rows = {cell.contestant: cell for cell in self.cells if cell.mode == mode and cell.samples}
        on_gpu = any(cell.device != "cpu" for cell in rows.values())
        order = BASELINES if mode == "forward" and not on_gpu else BASELINES[1:]
        return next((rows[name] for name in order if name in rows), None)

    def ratio(self, cell: Cell) -> float | None:
        """Return how many times faster than the baseline a cell is."""
        base = self.baseline(cell.mode)
        if base is None or base.median is None or cell.median is None:
            return None
        return base.median / cell.median

    def memcpy_fraction(self, cell: Cell) -> float | None:
        """Return the traffic that the work needs over the traffic that memcpy moves in the same time."""
        rate = self.bandwidth.get(cell.device.split(":")[0])
        if rate is None or cell.median is None:
            return None
        return self.case.traffic(cell.mode) / cell.median / rate

    def exit_code(self) -> Exit:
        """Return the exit code that the cells ask for."""
        found = {cell.status for cell in self.cells}
        if self.interrupted:
            return Exit.INTERRUPTED
        if found <= {"skipped", "unsupported", "too_slow"}:
            return Exit.NOTHING_RAN
        if "failed_check" in found:
            return Exit.WRONG
        return Exit.BROKE if found & {"crash", "timeout", "oom"} else Exit.FINE

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "schema": SCHEMA,
            "case": self.case.as_dict(),
            "machine": self.machine,
            "budget_s": self.budget,
            "elapsed_s": self.elapsed,
            "interrupted": self.interrupted,
            "memcpy_bytes_per_s": self.bandwidth,
            "notes": self.notes,
            "results": [self._row(cell) for cell in self.cells],
        }

    def _row(self, cell: Cell) -> dict[str, Any]:
        base = self.baseline(cell.mode)
        return {
            "backend": cell.contestant,
            "mode": cell.mode,
            "status": cell.status,
            "reason": cell.reason,
            "version": cell.version,
            "device": cell.device,
            "median_s": cell.median,
            "spread_s": cell.spread,
            "ratio": self.ratio(cell),
            "ratio_to": base.contestant if base is not None else None,
            "memcpy_fraction": self.memcpy_fraction(cell),
            "peak_bytes": cell.peak,
            "first_call_s": cell.first_call,
            "errors": cell.errors,
            "checked": cell.checked,
            "calls_per_sample": cell.calls,
            "samples_s": cell.samples,
            "positions": cell.positions,
        }
