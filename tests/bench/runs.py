"""Runs of fakes on their clock."""

from __future__ import annotations

from clocks import CLOCK
from virtual import machine

from multirec.bench.cases.case import Case
from multirec.bench.contestants import Contestant
from multirec.bench.host.clock import Budget
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


class PressesCtrlC(Silent):
    """Presses Ctrl-C after some turns of one contestant."""

    def __init__(self, who: str = "right forward") -> None:
        super().__init__()
        self.who = who

    def step(self, text: str) -> None:
        super().step(text)
        if "first round" in self.steps and self.steps.count(self.who) > 4:
            raise KeyboardInterrupt


def asked(*contestants: Contestant, seconds: float = 3.0, **changes: object) -> Request:
    how: dict[str, object] = {"cases": [CASE], "modes": ["forward"], "seconds": seconds}
    return Request(contestants, **(how | changes))


def run(*contestants: Contestant, seconds: float = 3.0, progress: Silent | None = None, **changes: object) -> Results:
    with machine():
        return begun(asked(*contestants, seconds=seconds, **changes), progress).go()


def begun(request: Request, progress: Silent | None = None, *how: object) -> Run:
    """A run that is ready to go, in a `machine`; `how` is a journal, and whether to resume it."""
    return Run(request, progress or Silent(), *how, budget=Budget(request.effort.seconds, CLOCK))


def called(name: str, contestant: Contestant) -> Contestant:
    contestant.name = name
    return contestant
