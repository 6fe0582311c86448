"""Short runs of fakes."""

from __future__ import annotations

from multirec.bench.cases.case import Case
from multirec.bench.contestants import Contestant
from multirec.bench.measure.request import Request
from multirec.bench.measure.run import Run
from multirec.bench.results.cells import Cell, Results

CASE = Case(batch=2, channels=12, length=120)


class Silent:
    """Tells nobody anything, and remembers the order of steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def phase(self, name: str, steps: int) -> None:
        self.steps.append(name)

    def step(self, text: str) -> None:
        self.steps.append(text)

    def leader(self, cell: Cell) -> None:
        pass

    def settled(self, cell: Cell) -> None:
        pass


def asked(*contestants: Contestant, seconds: float = 3.0, **changes: object) -> Request:
    how: dict[str, object] = {"cases": [CASE], "modes": ["forward"], "seconds": seconds}
    return Request(contestants, **(how | changes))


def run(*contestants: Contestant, seconds: float = 3.0, progress: Silent | None = None, **changes: object) -> Results:
    return Run(asked(*contestants, seconds=seconds, **changes), progress or Silent()).go()


def called(name: str, contestant: Contestant) -> Contestant:
    contestant.name = name
    return contestant
