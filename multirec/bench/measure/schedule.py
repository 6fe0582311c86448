"""The rounds of one case and mode: what takes part, how often, and when further rounds gain nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from ..results import statistics
from ..results.cells import Cell, Group, Results
from .plan import LEAST

# a call cheaper than this has an untimed one before it, that wakes its threads and its pages
WARM = 0.1
# what a turn costs besides its calls
_OVERHEAD = 0.001
# numbers of samples after which it is asked whether more would gain anything
_LOOKS = (6, 8, 11, 16, 22, 32, 45, 64, 90, 128, 180, 256, 360, 512, 720, 1024, 1440)
# after so many samples, an interval still wider than this part of what it was four looks ago does not narrow
_STUCK_AFTER, _NARROWED = 128, 0.9


def turn_seconds(cell: Cell) -> float:
    """Return what a turn of a cell takes in all."""
    seconds = median(cell.samples) if cell.samples else cell.cost
    return seconds * (cell.calls + (cell.cost < WARM)) + _OVERHEAD


@dataclass
class Schedule:
    """What is timed together.

    Attributes
    ----------
    reference, copy
        What ratios refer to, and the same contestant again in a process of its own; both are in every round.
    memcpy_cells
        Copies of memory, one for each kind of device.
    turns
        How many rounds each member takes part in.
    """

    group: Group
    cells: list[Cell]
    reference: Cell
    copy: Cell
    memcpy_cells: list[Cell] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    hold: bool = True
    widths: dict[int, list[float]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, group: Group, results: Results) -> Schedule:
        """Choose the reference: what it was before, else multirec's fastest backend, else the first contestant."""
        cells = [cell for cell in results.group(group) if cell.open]
        before = results.copies.get(group)
        named = [cell for cell in cells if before is not None and cell.contestant == before.contestant]
        backends = sorted((cell for cell in cells if cell.backend), key=lambda cell: cell.cost)
        reference = [*named, *backends, *cells][0]
        copy = before or Cell(reference.contestant, reference.mode, case=reference.case)
        copy.cost, copy.device, copy.calls = reference.cost, reference.device, reference.calls
        results.copies[group] = copy
        return cls(group, cells, reference, copy)

    @property
    def members(self) -> list[Cell]:
        """All that have turns, the reference and its copy first."""
        rest = [cell for cell in self.cells if cell is not self.reference]
        return [self.reference, self.copy, *rest, *self.memcpy_cells]

    @property
    def least(self) -> list[int]:
        """The samples that each member needs: the reference and its copy as many as the floor does."""
        return [statistics.ENOUGH] * 2 + [LEAST] * (len(self.members) - 2)

    def plan(self, turns: list[int]) -> None:
        """Take so many turns for each member; the reference and its copy belong to every round."""
        self.turns = [max(turns)] * 2 + turns[2:]

    def taken(self) -> int:
        """Return how many samples there are."""
        return sum(len(cell.samples) for cell in self.members)

    def seconds(self) -> float:
        """Return what all turns take."""
        return sum(turn_seconds(cell) * count for cell, count in zip(self.members, self.turns, strict=True))

    def look(self, results: Results, narrow: float) -> None:
        """Find the members that need no more rounds: the ratio is known well enough, or noise does not average out."""
        noise = statistics.noise(results.aa_ratios(self.group))
        for member, cell in enumerate(self.members):
            if member == 0 or member in self.done or len(cell.samples) not in _LOOKS:
                continue
            found = statistics.ratio(statistics.paired(self.reference.by_round, cell.by_round), noise)
            if found is None:
                continue
            width = (found.high - found.low) / (2 * found.ratio)
            seen = self.widths.setdefault(member, [])
            seen.append(width)
            stuck = len(cell.samples) >= _STUCK_AFTER and len(seen) > 4 and width > _NARROWED * seen[-5]
            if width <= narrow or stuck:
                self.done.add(member)

    def wants(self, member: int) -> bool:
        """Say whether a member takes part in further rounds; the reference and its copy do as long as there are any."""
        return member < 2 or member not in self.done

    def finished(self) -> bool:
        """Say whether no member gains from another round."""
        others = [member for member, cell in enumerate(self.members) if member > 1 and cell in self.cells and cell.open]
        return not self.reference.open or all(member in self.done for member in others or [1])
