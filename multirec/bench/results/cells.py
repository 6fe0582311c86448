"""The cells of a run while it goes on, and what is known of them so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ..cases.case import Case, Mode
from ..contestants import Sample
from . import statistics
from .format import Clocks, Git, Machine, Run, Status


@dataclass
class Cell:
    """One contestant in one mode of one case, and all that is known of it so far. Times are seconds, sizes bytes.

    `backend` says whether it is one of multirec's. For each sample on a GPU, `hot` has the time of a call on data that
    the second-level cache holds, `host` the host's part of a call, and `wall` a call in a row until all streams are
    done. `shorter` is the length of the signals that are timed where the whole is too slow.
    """

    contestant: str
    mode: Mode
    case: int = 0
    backend: bool = False
    status: Status | None = None
    reason: str = ""
    version: str = ""
    device: str = "cpu"
    first_call: float | None = None
    cost: float = 0.0
    peak: int | None = None
    allocator_peak: int | None = None
    errors: dict[str, float] | None = None
    checked: str = ""
    samples: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    calls: int = 1
    shorter: int | None = None
    hot: list[float] = field(default_factory=list)
    host: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether it is still on its way to a result."""
        return self.status is None

    @property
    def waits(self) -> bool:
        """Whether it has yet to be timed for the first time."""
        return self.open and not self.samples

    def close(self, status: Status, reason: str = "") -> None:
        """Settle the status; the first reason given stays."""
        if self.status is None:
            self.status, self.reason = status, reason

    def add(self, sample: Sample, turn: int, position: int) -> None:
        """Keep a sample, and where in the run it was taken."""
        self.samples.append(sample.seconds)
        self.rounds.append(turn)
        self.positions.append(position)
        if sample.hot is not None and sample.host is not None:
            self.hot.append(sample.hot)
            self.host.append(sample.host)
        if sample.wall is not None:
            self.wall.append(sample.wall)

    @property
    def by_round(self) -> dict[int, float]:
        """The samples by their round."""
        return dict(zip(self.rounds, self.samples, strict=True))

    @property
    def times(self) -> list[float]:
        """The samples that are times of the work: none where they are too good to be, or of shorter signals."""
        return [] if self.status == "bad_time" or self.shorter else self.samples

    @property
    def median(self) -> float | None:
        """The median of its times, if any."""
        found = statistics.interval(self.times)
        return found.median if found is not None else None


Group: TypeAlias = tuple[int, Mode]
"""The cells that are compared with each other: those of a case and a mode."""


@dataclass
class Results:
    """A whole run.

    `copies` has the reference's hidden second copy of every group, and `picks` what ``backend="auto"`` takes there for
    arrays on each kind of device. `caches` are the bytes of the devices' last caches.
    """

    run: Run
    machine: Machine
    versions: dict[str, str]
    git: Git | None
    cases: list[Case]
    cells: list[Cell] = field(default_factory=list)
    copies: dict[Group, Cell] = field(default_factory=dict)
    picks: dict[Group, dict[str, str]] = field(default_factory=dict)
    caches: dict[str, int] = field(default_factory=dict)
    clocks: Clocks | None = None
    bandwidth: dict[str, float] = field(default_factory=dict)
    bandwidth_samples: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def problem(self, cell: Cell) -> Case:
        """Return what a cell computes: its case, or one with shorter signals."""
        case = self.cases[cell.case]
        return case.shorter(cell.shorter) if cell.shorter else case

    def group(self, group: Group) -> list[Cell]:
        """Return the cells of a case and mode."""
        return [cell for cell in self.cells if (cell.case, cell.mode) == group]

    def reference(self, group: Group) -> Cell | None:
        """Return the cell that the others of a group are compared with."""
        copy = self.copies.get(group)
        if copy is None:
            return None
        return next(cell for cell in self.group(group) if cell.contestant == copy.contestant)

    def aa_ratios(self, group: Group) -> list[float]:
        """Return the per-round ratios of a group's reference to its hidden copy."""
        reference, copy = self.reference(group), self.copies.get(group)
        if reference is None or copy is None or reference.status == "bad_time":
            return []
        return statistics.paired(reference.by_round, copy.by_round)

    def ratio(self, cell: Cell) -> statistics.Ratio | None:
        """Return how many times faster than its group's reference a cell is; None for the reference itself."""
        group = (cell.case, cell.mode)
        reference = self.reference(group)
        if reference is None or reference is cell or cell.shorter or "bad_time" in (reference.status, cell.status):
            return None
        return statistics.ratio(
            statistics.paired(reference.by_round, cell.by_round), statistics.noise(self.aa_ratios(group))
        )
