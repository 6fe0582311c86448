"""Forward, row by row: four samples of each in a turn, so that only the nearest taps are waited for."""

from __future__ import annotations

from llvmlite import ir

from .._code.emit import Int
from .._code.numbers import Num, Slot
from .._recurrence.spec import UNROLL, Spec
from .rows import Scalar


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    Forward(module, name, spec).run()


class Forward(Scalar):
    """Past inputs and outputs are in registers, the newest first."""

    def run(self) -> None:
        self.emit([("x", self.spec.x), ("y", self.spec.y)], self.compute)

    def compute(self) -> None:
        f, spec = self.f, self.spec
        self.gather("past_x", "inputs", spec.x)
        self.gather("past_y", "outputs", spec.compute)
        past = [
            [[Slot(f, self.fmt, self.get(region, vector, n - 1 - k)) for k in range(n)] for vector in self.vectors]
            for region, n in (("past_x", self.known_q), ("past_y", self.known_p))
        ]
        turns = self.length & -UNROLL
        for start, stop, count in ((f.int(0), turns, UNROLL), (turns, self.length, 1)):
            with f.loop(start, stop, count) as time:
                known_x, known_y = ([[slot.get() for slot in row] for row in slots] for slots in past)
                self._turn(time, count, known_x, known_y)
                for slots, known in zip(past, (known_x, known_y), strict=True):
                    for row, numbers in zip(slots, known, strict=True):
                        for slot, number in zip(row, numbers, strict=False):
                            slot.set(number)
        self.scatter("past_y", "ends", spec.compute, [[slot.get() for slot in reversed(row)] for row in past[1]])

    def _turn(self, time: Int, count: int, known_x: list[list[Num]], known_y: list[list[Num]]) -> None:
        """Compute `count` samples of every vector, and put them in front of what is known."""
        totals = [[self._feedforward(time + u, v, known_x[v]) for u in range(count)] for v in self.vectors]
        # what earlier turns give, from the oldest tap on
        for k in reversed(range(self.known_p)):
            for u in range(min(count, k + 1)):
                for v in self.vectors:
                    totals[v][u] = totals[v][u].plus(self.taps("feedback", v, time + u, k), known_y[v][k - u])
        for u in range(count):
            for v in self.vectors:
                total = totals[v][u]
                for k in reversed(range(min(u, self.known_p))):
                    total = total.plus(self.taps("feedback", v, time + u, k), known_y[v][k])
                known_y[v].insert(0, total)
                self.write("y", v, time + u, total)

    def _feedforward(self, time: Int, vector: int, known: list[Num]) -> Num:
        x = self.read("x", vector, time)
        total = x
        if self.spec.feedforward is not None:
            total = self.taps("feedforward", vector, time, 0) * x
            for j in range(1, self.known_q + 1):
                total = total.plus(self.taps("feedforward", vector, time, j), known[j - 1])
        known.insert(0, x)
        return total
