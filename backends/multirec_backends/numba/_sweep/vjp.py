"""The gradient by rows of time, where channels are neighbours: the arithmetic of `_recurrence.vjp`, bit by bit."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from .._code.emit import Int
from .._code.memory import STORAGES
from .._code.numbers import Num, Slot, zero
from .._recurrence.spec import Spec
from .rows import Spot, Sweep


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    Gradient(module, name, spec).run()


class Gradient(Sweep):
    """The last λ are kept for each vector of channels, the nearest first."""

    def __init__(self, module: ir.Module, name: str, spec: Spec) -> None:
        super().__init__(module, name, spec, backward=True)
        self.depth = max(self.known_p, self.known_q)
        self.wants_b = spec.grad_feedforward and spec.feedforward is not None
        self.wants_a = spec.grad_feedback and spec.feedback is not None

    def run(self) -> None:
        spec = self.spec
        read = [("grad_y", spec.y), *self.varying()]
        read += [("x", spec.x)] * self.wants_b + [("y", spec.y)] * self.wants_a
        written = [("grad_x", spec.x)] * spec.grad_x
        written += [("grad_feedforward", spec.compute)] * self.wants_b
        written += [("grad_feedback", spec.compute)] * self.wants_a
        self.emit(read, written, self.start, self.step, self.finish, self.depth)

    def start(self) -> None:
        self.keep_steady()
        self._flatten()
        self.clear("lam", self.depth)
        if self.wants_b:
            self.gather("past_x", self.known_q, "inputs", self.spec.x)
        if self.wants_a:
            self.gather("past_y", self.known_p, "outputs", self.spec.compute)
        self.gather("last", self.known_p, "grad_last", self.spec.compute, some=self.word("last_steps"))

    def _flatten(self) -> None:
        """Have a row of the gradient of y where it does not change along time, such as that of a sum."""
        f, place = self.f, self.places["grad_y"]
        kind, channel = STORAGES[self.spec.y], self.word("grad_y_channel")
        flat, same = self.regions["flat"], place.time.equals(0)
        batch = self.block.padded * kind.bytes
        with f.when(same), f.loop(0, self.block.examples) as example, f.loop(0, self.block.lanes) as lane:
            target, source = flat + example * batch + lane * kind.bytes, place.start + example * place.batch
            for part in range(kind.parts):
                at = part * (kind.bytes // kind.parts)
                (target + at).store((source + lane * channel + at).load(kind.raw))
        start = f.either(same, flat, place.start)
        self.places["grad_y"] = place._replace(start=start, batch=f.select(same, batch, place.batch))

    def step(self, spot: Spot, edge: bool) -> None:
        spec, p, q = self.spec, self.known_p, self.known_q
        own = self.own("lam", self.depth, spot)
        later = [self.get(own, k) for k in range(self.depth)]
        lam = self.read("grad_y", spot)
        if edge:
            lam = self._with_last(lam, spot)
        for k in reversed(range(p)):
            lam = lam.plus(self._later("feedback", spot, k + 1, k, edge).conj(), later[k])
        window = [lam, *later]
        if spec.grad_x:
            total = lam
            if spec.feedforward is not None:
                total = self.taps("feedforward", spot).conj() * lam
                for j in range(1, q + 1):
                    total = total.plus(self._later("feedforward", spot, j, j, edge).conj(), window[j])
            self.write("grad_x", spot, total)
        if self.wants_b:
            for j in range(q + 1):
                x = self._earlier("x", "past_x", q, spot, j, edge)
                self.write("grad_feedforward", spot, lam * x.conj(), j)
        if self.wants_a:
            for k in range(p):
                y = self._earlier("y", "past_y", p, spot, k + 1, edge)
                self.write("grad_feedback", spot, lam * y.conj(), k)
        for k, number in enumerate(window[: self.depth]):
            self.put(own, k, number)

    def _with_last(self, lam: Num, spot: Spot) -> Num:
        """Add the further gradient of the last samples."""
        if not self.known_p:
            return lam
        behind = spot.row.time - (self.length - self.word("last_steps"))
        last = self.own("last", self.known_p, spot)
        return self._where(behind >= 0, lambda: lam + self.get(last, behind), lam)

    def _later(self, name: str, spot: Spot, later: int, tap: int, edge: bool) -> Num:
        """Return the coefficient of a later sample: zero behind the last, where λ is zero."""
        if not (edge and self.varies[name]):
            return self.taps(name, spot, later, tap)
        there = spot.row.time + later < self.length
        return self._where(there, lambda: self.taps(name, spot, later, tap), zero(self.f, self.fmt))

    def _earlier(self, name: str, past: str, count: int, spot: Spot, lag: int, edge: bool) -> Num:
        """Return a sample before that of the row, or one from before the block."""
        if not (edge and lag):
            return self.read(name, spot, -lag)
        at = spot.row.time - lag
        own = self.own(past, count, spot)
        # read as if within, where it is not used
        before = self.get(own, self.f.minimum(self.f.maximum(at + count, 0), count - 1))
        return self._where(at >= 0, lambda: self.read(name, spot, -lag), before)

    def _where(self, condition: Int, number: Callable[[], Num], otherwise: Num) -> Num:
        slot = Slot(self.f, self.fmt, otherwise)
        with self.f.when(condition):
            slot.set(number())
        return slot.get()

    def finish(self) -> None:
        """Hand out the gradients of what lies before the block."""
        p, q = self.known_p, self.known_q
        with self.vectors() as spot:
            own = self.own("lam", self.depth, spot)
            window = [self.get(own, k) for k in range(self.depth)]
            past_x, past_y = self.own("past_x", q, spot), self.own("past_y", p, spot)
            for i in range(1, p + 1):
                total = self._at_start("feedback", spot, 0, i - 1) * window[0]
                for k in range(i + 1, p + 1):
                    total = total.plus(self._at_start("feedback", spot, k - i, k - 1), window[k - i])
                self.put(past_y, p - i, total)
            for i in range(1, q + 1) if self.spec.feedforward is not None else ():
                total = self._at_start("feedforward", spot, 0, i) * window[0]
                for j in range(i + 1, q + 1):
                    total = total.plus(self._at_start("feedforward", spot, j - i, j), window[j - i])
                self.put(past_x, q - i, total)
        self.scatter("past_x", q, "grad_inputs", self.spec.compute_x)
        self.scatter("past_y", p, "grad_outputs", self.spec.compute)

    def _at_start(self, name: str, spot: Spot, time: int, tap: int) -> Num:
        return self._later(name, spot, time, tap, edge=True).conj()
