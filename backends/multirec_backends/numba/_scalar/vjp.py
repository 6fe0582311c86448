"""The gradient, row by row: as soon as a λ is known, it is sent to the samples before it.

    λ[t] = pending[0]        pending[k] ← pending[k+1] + conj(feedback[t, k])·λ[t]

The last of `pending` begins as the gradient of y at t − p. So a sample needs the coefficients of its own time alone,
and one multiply-add waits for the λ before it. What is pending in the end belongs to the samples before the block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir

from .._code.emit import DOUBLE, Int
from .._code.memory import STORAGES, Access, shuffle
from .._code.numbers import Format, Num, Slot, zero
from .._recurrence.spec import DIRECT, TILE, UNROLL, Spec
from .rows import Scalar

Source = Callable[[str, int, Int, Int, int], Num]
"""A sample of a signal, for (name, vector, time, samples of a chunk behind it, how far before that time)."""


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    Gradient(module, name, spec).run()


class Pair(NamedTuple):
    """Coefficients that need a gradient, and the signal that they meet: tap k of time t that of t - lag - k."""

    name: str
    signal: str
    lag: int
    taps: int


class Slots(NamedTuple):
    """What goes from sample to sample, for each vector: what is pending for y and x, and sums of products."""

    to_y: list[list[Slot]]
    to_x: list[list[Slot]]
    sums: list[list[Slot]]


class Gradient(Scalar):
    """Time runs from the last sample to the first."""

    def __init__(self, module: ir.Module, name: str, spec: Spec) -> None:
        super().__init__(module, name, spec)
        b, a = Pair("feedforward", "x", 0, self.known_q + 1), Pair("feedback", "y", 1, self.known_p)
        wanted = ((b, spec.grad_feedforward and spec.feedforward), (a, spec.grad_feedback and spec.feedback))
        self.pairs = [pair for pair, is_wanted in wanted if is_wanted]
        self.summed = [pair for pair in self.pairs if pair.name in self.steady]
        self.direct = max(self.known_p, self.known_q) <= DIRECT
        self.wide = Format(double=True, is_complex=self.fmt.is_complex, vector_bytes=8 * self.width)

    def run(self) -> None:
        spec = self.spec
        signals = [("grad_y", spec.y), ("x", spec.x), ("y", spec.y), ("grad_x", spec.x)]
        signals += [(f"grad_{name}", spec.compute) for name, _ in self.varying]
        self.emit(signals, self.compute)

    def compute(self) -> None:
        f, fmt, spec, p, q = self.f, self.fmt, self.spec, self.known_p, self.known_q
        self.gather("past_x", "inputs", spec.x)
        self.gather("past_y", "outputs", spec.compute)
        self._flatten()
        count = sum(pair.taps for pair in self.summed)
        slots = Slots(
            [[Slot(f, fmt, number) for number in numbers] for numbers in self._last()],
            [[Slot(f, fmt, zero(f, fmt)) for _ in range(q)] for _ in self.vectors],
            [[Slot(f, self.wide, zero(f, self.wide)) for _ in range(count)] for _ in self.vectors],
        )
        if self.direct:
            edge = f.minimum(self.length, max(p, q))
            self._turns(edge, self.length - edge, slots, self._in_place)
            self._chunk(f.int(0), edge, slots)
        else:
            chunks = (self.length + (TILE - 1)) // TILE
            with f.loop(0, chunks) as index:
                first = (chunks - 1 - index) * TILE
                self._chunk(first, f.minimum(self.length - first, TILE), slots)
        for region, name, storage, to in (
            ("past_y", "grad_outputs", spec.compute, slots.to_y),
            ("past_x", "grad_inputs", spec.compute_x, slots.to_x),
        ):
            self.scatter(region, name, storage, [[slot.get() for slot in reversed(each)] for each in to])
        self._write_sums(slots.sums)

    def _flatten(self) -> None:
        """Have numbers of neighbours where the gradient of y does not change along time, such as that of a sum."""
        if self.width == 1:
            return
        f, place, kind = self.f, self.places["grad_y"], STORAGES[self.spec.y]
        flat, same = self.regions["flat"], place.time.equals(0)
        with f.when(same), self.rows("grad_y") as (row, start):
            for at in range(0, kind.bytes, kind.bytes // kind.parts):
                (flat + row * kind.bytes + at).store((start + at).load(kind.raw))
        starts = [
            f.either(same, flat + vector * self.width * kind.bytes, start) for vector, start in enumerate(place.starts)
        ]
        self.places["grad_y"] = place._replace(starts=starts)

    def _last(self) -> list[list[Num]]:
        """Return what the last samples of each vector get from outside, the last first."""
        f, p, count = self.f, self.known_p, self.word("last_steps")
        self.gather("last", "grad_last", self.spec.compute, some=count)
        for v in self.vectors:
            self._turn_around("grad_y", "pending", v, self.length - 1, f.int(p))
            with f.loop(0, count) as k:
                self.put("pending", v, k, self.get("pending", v, k) + self.get("last", v, count - 1 - k))
        return [[self.get("pending", v, k) for k in range(p)] for v in self.vectors]

    def _chunk(self, first: Int, samples: Int, slots: Slots) -> None:
        """Bring the signals of a chunk to scratch memory, the last sample first, and take its samples."""
        last = first + samples - 1
        for v in self.vectors:
            self._turn_around("grad_y", "g", v, last - self.known_p, samples)
            for pair in self.pairs:
                size, past = samples + (pair.taps - 1), f"past_{pair.signal}"
                self._turn_around(pair.signal, pair.signal, v, last - pair.lag, size, past)
        self._turns(first, samples, slots, self._brought)

    def _turn_around(self, name: str, region: str, vector: int, last: Int, count: Int, past: str = "") -> None:
        """Bring `count` samples from `last` down; those before the block are zero or in a region."""
        f = self.f
        there = f.maximum(f.minimum(last + 1, count), 0)
        with f.loop(0, there) as index:
            self.put(region, vector, index, self.read(name, vector, last - index))
        with f.loop(there, count) as index:
            number = self.get(past, vector, last - index + self.counts[past]) if past else zero(f, self.fmt)
            self.put(region, vector, index, number)

    def _in_place(self, name: str, vector: int, time: Int, done: Int, before: int) -> Num:
        return self.read(name, vector, time - before)

    def _brought(self, name: str, vector: int, time: Int, done: Int, before: int) -> Num:
        region, nearest = {"grad_y": ("g", self.known_p), "y": ("y", 1), "x": ("x", 0)}[name]
        return self.get(region, vector, done + (before - nearest))

    def _turns(self, first: Int, samples: Int, slots: Slots, source: Source) -> None:
        """Take samples from the last one down to `first`."""
        whole = samples & -UNROLL
        for start, stop, steps in ((self.f.int(0), whole, UNROLL), (whole, samples, 1)):
            with self.f.loop(start, stop, steps) as done:
                to_y, to_x, sums = known = [[[slot.get() for slot in each] for each in kind] for kind in slots]
                for u in range(steps):
                    for v in self.vectors:
                        time = first + samples - 1 - u - done
                        self._step(v, time, done + u, to_y[v], to_x[v], sums[v], source)
                for kind, numbers in zip(slots, known, strict=True):
                    for v in self.vectors:
                        for slot, number in zip(kind[v], numbers[v], strict=True):
                            slot.set(number)

    def _step(
        self, vector: int, time: Int, done: Int, to_y: list[Num], to_x: list[Num], sums: list[Num], source: Source
    ) -> None:
        """Find λ of a sample, and all that comes of it."""
        to_y.append(source("grad_y", vector, time, done, self.known_p))
        lam = to_y.pop(0)
        for k in range(self.known_p):
            to_y[k] = to_y[k].plus(self.taps("feedback", vector, time, k).conj(), lam)
        filtered = self.spec.feedforward is not None
        to_x.append(zero(self.f, self.fmt) if filtered else lam)
        for j in range(self.known_q + 1 if filtered else 0):
            to_x[j] = to_x[j].plus(self.taps("feedforward", vector, time, j).conj(), lam)
        number = to_x.pop(0)
        if self.spec.grad_x:
            self.write("grad_x", vector, time, number)
        at = 0
        for pair in self.pairs:
            if pair in self.summed:
                for tap in range(pair.taps):
                    signal = source(pair.signal, vector, time, done, pair.lag + tap).conj()
                    sums[at] = sums[at].plus(self._widened(lam), self._widened(signal))
                    at += 1
            elif self.direct:
                for tap in range(pair.taps):
                    signal = source(pair.signal, vector, time, done, pair.lag + tap).conj()
                    self.write(f"grad_{pair.name}", vector, time, lam * signal, tap)
            else:
                self._products(pair, vector, time, done, lam)

    def _widened(self, number: Num) -> Num:
        b, kind = self.f.b, self.wide.vector
        return number if self.fmt.double else Num(self.f, [b.fpext(part, kind) for part in number.parts])

    def _products(self, pair: Pair, vector: int, time: Int, done: Int, lam: Num) -> None:
        """Write the products of λ with the samples that the taps meet, as many at once as a vector has."""
        f, taps = self.f, pair.taps
        width = min(1 << taps.bit_length() - 1, self.spec.format.width)
        fmt = Format(self.fmt.double, self.fmt.is_complex, width * self.fmt.real_bytes)
        access = Access(f, fmt, STORAGES[self.spec.compute])
        spread = Num(f, [shuffle(f, part, part, [0] * width) for part in lam.parts])
        # the last vector may begin within the one before
        for tap in sorted({*range(0, taps - width + 1, width), taps - width}):
            signal = self.get(pair.signal, vector, done + tap, fmt.vector)
            access.write(self.at(f"grad_{pair.name}", vector, time, tap), (spread * signal.conj()).parts)

    def _write_sums(self, sums: list[list[Slot]]) -> None:
        """Write to [row of (example, channel), tap]."""
        f, parts, at = self.f, self.fmt.parts, 0
        for pair in self.summed:
            with f.when(self.word(f"grad_{pair.name}_at").differs(0)):
                for v, slots in enumerate(sums):
                    for tap, slot in enumerate(slots[at : at + pair.taps]):
                        for k, part in enumerate(slot.get().parts):
                            kept = self.regions["sums"]
                            kept.store(part)
                            with f.loop(0, self.width) as lane:
                                row = (self.first + v * self.width + lane) * pair.taps + tap
                                target = self.pointer(f"grad_{pair.name}") + (row * parts + k) * 8
                                target.store((kept + lane * 8).load(DOUBLE))
            at += pair.taps
