"""The gradient kernel, in two forms: history in registers for the orders that are known, here, or in tiles for any."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Num, Slot, Tile, zero
from .._code.shared import store_grad_x
from .._code.stream import LINE, fence
from .adjoint import Adjoint
from .spec import TILE, UNROLL, Spec
from .vjp_memory import Memory


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    frame = RecurrenceFrame(module, name, spec)
    frame.walk(Registers if spec.in_registers else Memory, backward=True)


class Registers(Adjoint):
    """Known orders: λ, the coefficients that do not change and their sums are in registers."""

    def __init__(self, frame: RecurrenceFrame, group: Group) -> None:
        order, input_order = frame.spec.order, frame.spec.input_order
        assert order is not None
        assert input_order is not None
        self.known_p, self.known_q = order, input_order
        self.depth = max(order, input_order)
        super().__init__(frame, group, self.depth)
        self.lam = frame.tile("lam")
        self.out_b, self.out_a = frame.tile("out_b"), frame.tile("out_a")
        self.sum_b = self.wants_b and not self.spec.feedforward_varies
        self.sum_a = self.wants_a and not self.spec.feedback_varies

    def start(self) -> None:
        super().start()
        self.lam.clear(self.depth)

    def tile(self, time: Int, steps: Int) -> None:
        self.load_before(time)
        super().tile(time, steps)

    def load_before(self, time: Int) -> None:
        """Put the samples before a tile in front of it, where they meet its λ."""
        x, y = self.front()
        if x is None and y is None:
            return
        with self.f.choice(time > 0) as (inside, first):
            with inside:
                self.load_front(time)
            with first:
                self.load_past(x, y)

    def front(self) -> tuple[Tile | None, Tile | None]:
        """Return the rows in front of a tile, of x and of y, where the samples there are wanted."""
        p, q = self.known_p, self.known_q
        x = self.x.shifted(-q) if self.wants_b and self.spec.feedforward_varies and q else None
        return x, self.y.shifted(-p) if self.wants_a and self.spec.feedback_varies and p else None

    def load_front(self, time: Int) -> None:
        """Fill them with what is before `time`."""
        frame, group, p, q = self.frame, self.group, self.known_p, self.known_q
        x, y = self.front()
        if x is not None:
            group.load_x(x, "x", frame.region("offsets_x"), time - q, q)
        if y is not None:
            group.load(y, "y", self.spec.y, frame.region("offsets_y"), time - p, p)

    def _tile(self, time: Int, steps: Int, rows: Int) -> None:
        for g in self.vectors:
            self.vector(self.f.int(0), rows, g)
        self.store(time, steps)

    def store(self, time: Int, steps: Int) -> None:
        """Store the gradients of a tile."""
        spec, group = self.spec, self.group
        if spec.grad_x:
            store_grad_x(self.frame, self.group, self.grad, time, steps)
        for varies, out, short, name, count in (
            (self.wants_b and spec.feedforward_varies, self.out_b, "b", "grad_feedforward", self.known_q + 1),
            (self.wants_a and spec.feedback_varies, self.out_a, "a", "grad_feedback", self.known_p),
        ):
            for tap in range(count if varies else 0):
                offsets = self.frame.region(f"offsets_grad_{short}")
                carry = self.frame.region(f"carry_{short}") + tap * (self.fmt.lanes * LINE)
                group.stream(out.shifted(tap * TILE), name, spec.compute, offsets, carry, time, steps, tap=tap)

    def vector(self, first: Int, end: Int, g: int) -> None:
        """Walk down from row `end` to row `first`."""
        f, fmt, p, q = self.f, self.fmt, self.known_p, self.known_q
        later = [Slot(f, fmt, self.lam.get(k, g)) for k in range(self.depth)]
        sums_b = [Slot(f, fmt, zero(f, fmt)) for _ in range(q + 1 if self.sum_b else 0)]
        sums_a = [Slot(f, fmt, zero(f, fmt)) for _ in range(p if self.sum_a else 0)]

        def step(row: Int) -> None:
            lam = self.grad.get(row, g)
            for k in reversed(range(p)):
                lam = lam.plus(self.a.conj(k, row + (k + 1), g), later[k].get())
            window = [lam, *(slot.get() for slot in later)]
            if self.spec.grad_x:
                self.grad.put(row, g, self.to_x(window, range(q + 1), row, g))
            if sums_b:
                x = self.x.get(row, g).conj()
                for j, total in enumerate(sums_b):
                    total.set(total.get().plus(window[j], x))
            elif self.wants_b:
                for j in range(q + 1):
                    self.out_b.shifted(j * TILE).put(row, g, lam * self.x.get(row - j, g).conj())
            if sums_a:
                y = self.y.get(row, g).conj()
                for k, total in enumerate(sums_a):
                    total.set(total.get().plus(window[k + 1], y))
            elif self.wants_a:
                for k in range(p):
                    self.out_a.shifted(k * TILE).put(row, g, lam * self.y.get(row - (k + 1), g).conj())
            for slot, value in zip(later, window, strict=False):
                slot.set(value)

        self.each(first, end, step)
        for k, slot in enumerate(later):
            self.lam.put(k, g, slot.get())
        for sums, totals in ((self.sums_b, sums_b), (self.sums_a, sums_a)):
            for tap, slot in enumerate(totals):
                sums.add(tap, g, slot.get())

    def each(self, first: Int, end: Int, step: Callable[[Int], None]) -> None:
        """Take a step for each row, the last first; their number is a multiple."""
        with self.f.loop(first, end, UNROLL) as done:
            for u in range(UNROLL):
                step(end - 1 - u - (done - first))

    def to_x(self, window: list[Num], taps: range, row: Int, g: int) -> Num:
        """Return Σ_j conj(b[j])·λ[j - first tap], where λ[0] is that of `row`."""
        if self.spec.feedforward is None:
            return window[0]
        total = self.b.conj(taps[0], row, g) * window[0]
        for lag, lam in enumerate(window[1 : len(taps)], 1):
            total = total.plus(self.b.conj(taps[lag], row + lag, g), lam)
        return total

    def finish(self) -> None:
        fence(self.f)
        self.load_past(self.x if self.sum_b else None, self.y if self.sum_a else None)
        # no sample more: the rows after an empty tile are those of the first samples
        for taps in (self.b, self.a):
            taps.load(self.f.int(0), self.f.int(0), ahead=0)
        for g in self.vectors:
            self.add_past(self.x, self.y, g)
            # the rows of the samples before the block are free by now
            for tile, numbers in zip((self.grad, self.y), self.to_past(self.f.int(TILE), g), strict=True):
                for row, number in enumerate(numbers):
                    tile.put(row, g, number)
        self.store_past(self.grad, self.y)
        self.write()

    def add_past(self, past_x: Tile, past_y: Tile, g: int) -> None:
        """Add the products of the samples before the first one, and of the last λ."""
        p, q = self.known_p, self.known_q
        window = [self.lam.get(k, g) for k in range(self.depth)]
        for i in range(1, max(p, q) + 1):
            if self.sum_b and i <= q:
                x = past_x.get(q - i, g).conj()
                for j in range(i, q + 1):
                    self.sums_b.add(j, g, window[j - i] * x)
            if self.sum_a and i <= p:
                y = past_y.get(p - i, g).conj()
                for k in range(i, p + 1):
                    self.sums_a.add(k - 1, g, window[k - i] * y)

    def to_past(self, first: Int, g: int) -> tuple[list[Num], list[Num]]:
        """Return what the samples before row `first` get from the last λ: q inputs and p outputs, ascending."""
        p, q = self.known_p, self.known_q
        window = [self.lam.get(k, g) for k in range(self.depth)]
        to_y = []
        for i in range(1, p + 1):
            total = self.a.conj(i - 1, first, g) * window[0]
            for k in range(i + 1, p + 1):
                total = total.plus(self.a.conj(k - 1, first + (k - i), g), window[k - i])
            to_y.append(total)
        return [self.to_x(window, range(i, q + 1), first, g) for i in range(q, 0, -1)], to_y[::-1]

    def write(self) -> None:
        """Write the sums."""
        if self.sum_b:
            self.sums_b.write(self.group, "grad_feedforward")
        if self.sum_a:
            self.sums_a.write(self.group, "grad_feedback")
