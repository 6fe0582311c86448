"""The gradient kernel, in two forms: history in registers for the orders that are known, or in tiles for any."""

from __future__ import annotations

from llvmlite import ir

from ._adjoint import Adjoint
from ._emit import Int
from ._frame import Group, RecurrenceFrame
from ._numbers import Num, Slot, Tile, zero
from ._shared import store_grad_x
from ._spec import TILE, UNROLL, Spec
from ._stream import LINE, fence
from ._sums import Sums
from ._taps import Coefficients


def emit_vjp(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    frame = RecurrenceFrame(module, name, spec)
    frame.walk(_Registers if spec.in_registers else _Memory, backward=True)


class _Registers(Adjoint):
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
        self._load_before(time)
        super().tile(time, steps)

    def _load_before(self, time: Int) -> None:
        """Put the samples before a tile in front of it, where they meet its λ."""
        frame, group, spec, p, q = self.frame, self.group, self.spec, self.known_p, self.known_q
        x = self.x.shifted(-q) if self.wants_b and spec.feedforward_varies and q else None
        y = self.y.shifted(-p) if self.wants_a and spec.feedback_varies and p else None
        if x is None and y is None:
            return
        with self.f.choice(time > 0) as (inside, first):
            with inside:
                if x is not None:
                    group.load_x(x, "x", frame.region("offsets_x"), time - q, q)
                if y is not None:
                    group.load(y, "y", spec.y, frame.region("offsets_y"), time - p, p)
            with first:
                self.load_past(x, y)

    def _tile(self, time: Int, steps: Int, rows: Int) -> None:
        spec, group = self.spec, self.group
        for g in self.vectors:
            self._vector(rows, g)
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

    def _vector(self, rows: Int, g: int) -> None:
        f, fmt, p, q = self.f, self.fmt, self.known_p, self.known_q
        later = [Slot(f, fmt, self.lam.get(k, g)) for k in range(self.depth)]
        sums_b = [Slot(f, fmt, zero(f, fmt)) for _ in range(q + 1 if self.sum_b else 0)]
        sums_a = [Slot(f, fmt, zero(f, fmt)) for _ in range(p if self.sum_a else 0)]
        with f.loop(0, rows, UNROLL) as done:
            for u in range(UNROLL):
                row = rows - 1 - u - done
                lam = self.grad.get(row, g)
                for k in reversed(range(p)):
                    lam = lam.plus(self.a.conj(k, row + (k + 1), g), later[k].get())
                window = [lam, *(slot.get() for slot in later)]
                if self.spec.grad_x:
                    self.grad.put(row, g, self._to_x(window, range(q + 1), row, g))
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
        for k, slot in enumerate(later):
            self.lam.put(k, g, slot.get())
        for sums, totals in ((self.sums_b, sums_b), (self.sums_a, sums_a)):
            for tap, slot in enumerate(totals):
                sums.add(tap, g, slot.get())

    def _to_x(self, window: list[Num], taps: range, row: Int, g: int) -> Num:
        """Return Σ_j conj(b[j])·λ[j - first tap], where λ[0] is that of `row`."""
        if self.spec.feedforward is None:
            return window[0]
        total = self.b.conj(taps[0], row, g) * window[0]
        for lag, lam in enumerate(window[1 : len(taps)], 1):
            total = total.plus(self.b.conj(taps[lag], row + lag, g), lam)
        return total

    def finish(self) -> None:
        fence(self.f)
        p, q = self.known_p, self.known_q
        self.load_past(self.x if self.sum_b else None, self.y if self.sum_a else None)
        # no sample more: the rows after an empty tile are those of the first samples
        first = self.f.int(TILE)
        for taps in (self.b, self.a):
            taps.load(self.f.int(0), self.f.int(0), ahead=0)
        for g in self.vectors:
            window = [self.lam.get(k, g) for k in range(self.depth)]
            for i in range(1, max(p, q) + 1):
                if self.sum_b and i <= q:
                    x = self.x.get(q - i, g).conj()
                    for j in range(i, q + 1):
                        self.sums_b.add(j, g, window[j - i] * x)
                if self.sum_a and i <= p:
                    y = self.y.get(p - i, g).conj()
                    for k in range(i, p + 1):
                        self.sums_a.add(k - 1, g, window[k - i] * y)
            # the samples before the block get what later ones sent them; their rows are free by now
            for i in range(1, q + 1):
                self.grad.put(q - i, g, self._to_x(window, range(i, q + 1), first, g))
            for i in range(1, p + 1):
                total = self.a.conj(i - 1, first, g) * window[0]
                for k in range(i + 1, p + 1):
                    total = total.plus(self.a.conj(k - 1, first + (k - i), g), window[k - i])
                self.y.put(p - i, g, total)
        self.store_past(self.grad, self.y)
        if self.sum_b:
            self.sums_b.write(self.group, "grad_feedforward")
        if self.sum_a:
            self.sums_a.write(self.group, "grad_feedback")


class _Memory(Adjoint):
    """Any order, any coefficients: λ lives in a tile with room before it (what it sends) and after it (what was)."""

    def __init__(self, frame: RecurrenceFrame, group: Group) -> None:
        super().__init__(frame, group)
        self.all_lam, self.all_gx = frame.tile("lam"), frame.tile("gx")
        self.lam, self.gx = self.all_lam.shifted(self.history), self.all_gx.shifted(self.q)
        self.out_b, self.out_a = frame.tile("out_b"), frame.tile("out_a")

    def start(self) -> None:
        super().start()
        self.all_lam.clear(self.history * 2 + TILE)
        self.all_gx.clear(self.q + TILE)

    def _tile(self, time: Int, steps: Int, rows: Int) -> None:
        f, spec = self.f, self.spec
        with f.loop(0, steps) as done:
            row = steps - 1 - done
            for g in self.vectors:
                lam = self.lam.get(row, g) + self.grad.get(row, g)
                self.lam.put(row, g, lam)
                if spec.feedback is not None:
                    self._send(self.lam, self.a, self.p, 1, row, g, lam)
                if spec.feedforward is None:
                    self.gx.put(row, g, lam)
                elif spec.grad_x or spec.grad_inputs:
                    self._send(self.gx, self.b, self.q + 1, 0, row, g, lam)
        self._correlate(time, steps, rows)
        if spec.grad_x:
            store_grad_x(self.frame, self.group, self.gx, time, steps)
        self.all_lam.move(TILE, 0, self.history * 2)
        self.all_lam.clear(TILE)
        self.all_gx.move(TILE, 0, self.q)
        self.all_gx.clear(TILE)

    def _send(self, target: Tile, taps: Coefficients, count: Int, lag: int, row: Int, g: int, lam: Num) -> None:
        """Add conj(taps[k])·λ to the sample k + lag before."""
        with self.f.loop(0, count) as k:
            place = row - lag - k
            target.put(place, g, target.get(place, g).plus(taps.conj(k, row, g), lam))

    def _correlate(self, time: Int, steps: Int, rows: Int) -> None:
        """Take the products of λ with the signals; `time` is that of row 0, and may be before the block."""
        spec = self.spec
        for wanted, name, varies, signal, sums, out, count, lag in (
            (self.wants_b, "feedforward", spec.feedforward_varies, self.x, self.sums_b, self.out_b, self.q + 1, 0),
            (self.wants_a, "feedback", spec.feedback_varies, self.y, self.sums_a, self.out_a, self.p, 1),
        ):
            if wanted and varies:
                self._write_products(f"grad_{name}", signal, out, count, lag, time, steps)
            elif wanted:
                self._add_products(signal, sums, count, lag, rows)

    def _add_products(self, signal: Tile, sums: Sums, count: Int, lag: int, rows: Int) -> None:
        f, fmt = self.f, self.fmt
        with f.loop(0, count) as tap:
            for g in self.vectors:
                totals = [Slot(f, fmt, zero(f, fmt)) for _ in range(UNROLL)]
                with f.loop(0, rows, UNROLL) as row:
                    for u, total in enumerate(totals):
                        lam = self.lam.get(row + u + tap + lag, g)
                        total.set(total.get().plus(lam, signal.get(row + u, g).conj()))
                one, two, three, four = (total.get() for total in totals)
                sums.add(tap, g, (one + two) + (three + four))

    def _write_products(self, name: str, signal: Tile, out: Tile, count: Int, lag: int, time: Int, steps: Int) -> None:
        frame, f, group = self.frame, self.f, self.group
        offsets = frame.region("offsets_grad_b" if name == "grad_feedforward" else "offsets_grad_a")
        with f.loop(0, count) as tap:
            late = tap + lag
            # only products that belong to a sample of the block
            first = f.maximum(0 - time - late, 0)
            end = f.minimum(steps, frame.length - time - late)
            with f.loop(first, end) as row:
                for g in self.vectors:
                    out.put(row, g, self.lam.get(row + late, g) * signal.get(row, g).conj())
            with f.when(end > first):
                start = time + late + first
                group.store(out.shifted(first), name, self.spec.compute, offsets, start, end - first, tap=tap)

    def finish(self) -> None:
        fence(self.f)
        self.load_past(self.x, self.y)
        # the pending rows are the gradient of the samples before the block
        self.store_past(self.gx.shifted(TILE - self.q), self.lam.shifted(TILE - self.p))
        self._finish_products()
        if self.wants_b and not self.spec.feedforward_varies:
            self.sums_b.write(self.group, "grad_feedforward")
        if self.wants_a and not self.spec.feedback_varies:
            self.sums_a.write(self.group, "grad_feedback")

    def _finish_products(self) -> None:
        """Products with the samples before the block: rows -q.. or -p.. of a last tile."""
        spec = self.spec
        for wanted, name, varies, signal, sums, out, count, depth, lag in (
            (self.wants_b, "feedforward", spec.feedforward_varies, self.x, self.sums_b, self.out_b, self.q + 1,
             self.q, 0),
            (self.wants_a, "feedback", spec.feedback_varies, self.y, self.sums_a, self.out_a, self.p, self.p, 1),
        ):  # fmt: skip
            if not wanted:
                continue
            # row i of the past is time i - depth; λ of time 0 is now in row TILE
            lam = self.lam
            self.lam = lam.shifted(TILE - depth)
            if varies:
                self._write_products(f"grad_{name}", signal, out, count, lag, 0 - depth, depth)
            else:
                self._add_past(signal, sums, count, depth, lag)
            self.lam = lam

    def _add_past(self, signal: Tile, sums: Sums, count: Int, depth: Int, lag: int) -> None:
        f, fmt = self.f, self.fmt
        with f.loop(0, count) as tap:
            for g in self.vectors:
                total = Slot(f, fmt, zero(f, fmt))
                with f.loop(depth - tap - lag, depth) as row:
                    lam = self.lam.get(row + tap + lag, g)
                    total.set(total.get().plus(lam, signal.get(row, g).conj()))
                sums.add(tap, g, total.get())
