"""Forward by rows of time, where channels are neighbours: the arithmetic of `_recurrence.forward`, bit by bit."""

from __future__ import annotations

from llvmlite import ir

from .._recurrence.spec import Spec
from .rows import Spot, Sweep


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    Forward(module, name, spec).run()


class Forward(Sweep):
    """Past inputs and outputs are kept for each vector of channels, the newest first."""

    def run(self) -> None:
        self.emit([("x", self.spec.x), *self.varying()], [("y", self.spec.y)], self.start, self.step, self.finish, 0)

    def start(self) -> None:
        self.keep_steady()
        # what lies before the block is there in running order
        self.gather("past_x", self.known_q, "inputs", self.spec.x)
        self.gather("past_y", self.known_p, "outputs", self.spec.compute)

    def step(self, spot: Spot, edge: bool) -> None:
        p, q = self.known_p, self.known_q
        past_x, past_y = self.own("past_x", q, spot), self.own("past_y", p, spot)
        x = [self.read("x", spot), *(self.get(past_x, q - 1 - j) for j in range(q))]
        y = [self.get(past_y, p - 1 - k) for k in range(p)]
        total = x[0]
        if self.spec.feedforward is not None:
            total = self.taps("feedforward", spot) * x[0]
            for j in range(1, q + 1):
                total = total.plus(self.taps("feedforward", spot, tap=j), x[j])
        for k in reversed(range(p)):
            total = total.plus(self.taps("feedback", spot, tap=k), y[k])
        for past, numbers in ((past_x, x[:q]), (past_y, [total, *y][:p])):
            for index, number in enumerate(reversed(numbers)):
                self.put(past, index, number)
        self.write("y", spot, total)

    def finish(self) -> None:
        self.scatter("past_y", self.known_p, "ends", self.spec.compute)
