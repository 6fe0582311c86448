"""Rows of (example, channel) straight from memory, a few side by side, one number or a few neighbours at a time.

Full vectors across a few rows would be mostly idle, and coefficients with several taps do not lie in memory as tiles
want them. What limits a row is that every output waits for the one before it, so a few rows go side by side, with
their history in registers. Rows that are neighbours in memory make one vector of just their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import ir

from .._code.emit import Int, Ptr
from .._code.frame import Frame
from .._code.memory import STORAGES, Access
from .._code.numbers import Format, Num
from .._recurrence.spec import Spec


class Place(NamedTuple):
    """A signal as the vectors of an item see it: where each begins, and how far its samples are apart."""

    starts: list[Ptr]
    time: Int
    access: Access


class Scalar(Frame):
    """What both directions share: places of signals, and numbers of each vector of rows in scratch memory."""

    spec: Spec

    def __init__(self, module: ir.Module, name: str, spec: Spec) -> None:
        super().__init__(module, name, spec)
        assert spec.order is not None
        assert spec.input_order is not None
        self.known_p, self.known_q = spec.order, spec.input_order
        self.width, self.counts = spec.neighbours, spec.scalar_counts()
        self.fmt = Format(spec.double, spec.format.is_complex, self.width * spec.format.real_bytes)
        # once for a kernel: what is written to memory might be these words, for all that the compiler knows
        self.regions = {name: self.region(name) for name in spec.interface.regions}
        self.length = self.word("length")
        self.vectors = range(spec.side)
        self.first: Int
        self.places: dict[str, Place] = {}
        sets = (
            ("feedforward", spec.feedforward, spec.feedforward_varies),
            ("feedback", spec.feedback, spec.feedback_varies),
        )
        self.varying = [(name, storage) for name, storage, varies in sets if storage and varies]
        self.steady = {name: storage for name, storage, varies in sets if storage and not varies}

    def emit(self, signals: Sequence[tuple[str, str]], compute: Callable[[], None]) -> None:
        """Emit the kernel: `compute` for the vectors of an item side by side, and for each one that is left over."""
        f, side = self.f, self.spec.side
        with self.items() as item:
            if side == 1:
                self._settle(1, item, signals, compute)
                return
            together = self.word("channels") * self.word("batch") // (side * self.width)
            with f.choice(item < together) as (full, left):
                with full:
                    self._settle(side, item * side, signals, compute)
                with left:
                    self._settle(1, item + together * (side - 1), signals, compute)

    def _settle(self, count: int, first: Int, signals: Sequence[tuple[str, str]], compute: Callable[[], None]) -> None:
        self.vectors, self.first = range(count), first * self.width
        self.places = {name: self._place(name, storage) for name, storage in (*signals, *self.varying)}
        for name, storage in self.steady.items():
            self.gather(f"steady_{name}", name, storage, "tap")
        compute()

    def _place(self, name: str, storage: str) -> Place:
        starts = [self._start(name, self.first + vector * self.width) for vector in self.vectors]
        return Place(starts, self.word(f"{name}_time"), Access(self.f, self.fmt, STORAGES[storage]))

    def _start(self, name: str, row: Int) -> Ptr:
        channels = self.word("channels")
        example = row // channels
        channel = row - example * channels
        return self.pointer(name) + example * self.word(f"{name}_batch") + channel * self.word(f"{name}_channel")

    def at(self, name: str, vector: int, time: Int, tap: int = 0) -> Ptr:
        """Return where a number of a signal is; the taps of a sample are neighbours."""
        place = self.places[name]
        return place.starts[vector] + time * place.time + tap * place.access.storage.bytes

    def read(self, name: str, vector: int, time: Int, tap: int = 0) -> Num:
        return Num(self.f, self.places[name].access.read(self.at(name, vector, time, tap)))

    def write(self, name: str, vector: int, time: Int, number: Num, tap: int = 0) -> None:
        self.places[name].access.write(self.at(name, vector, time, tap), number.parts)

    def taps(self, name: str, vector: int, time: Int, tap: int) -> Num:
        """Return a coefficient: from memory, or kept where it does not change."""
        return self.get(f"steady_{name}", vector, tap) if name in self.steady else self.read(name, vector, time, tap)

    def own(self, region: str, vector: Int | int, index: Int | int, part: int = 0) -> Ptr:
        """Return where a number of a vector is; its parts are apart, so that numbers of one row are neighbours."""
        size = self.fmt.vector_bytes
        row = (self.f.int(vector) * self.fmt.parts + part) * (self.counts[region] * size)
        return self.regions[region] + row + self.f.int(index) * size

    def get(self, region: str, vector: int, index: Int | int, kind: Any = None) -> Num:
        """Load a number of a vector, or with a `kind` several of one row."""
        kind = kind or self.fmt.vector
        return Num(self.f, [self.own(region, vector, index, part).load(kind) for part in range(self.fmt.parts)])

    def put(self, region: str, vector: int, index: Int | int, number: Num) -> None:
        for part, value in enumerate(number.parts):
            self.own(region, vector, index, part).store(value)

    def gather(self, region: str, name: str, storage: str, axis: str = "time", some: Int | None = None) -> None:
        """Bring the numbers of each row from a small array of any strides, zeros where it is not there.

        With `some`, only so many of them.
        """
        f, kind, count = self.f, STORAGES[storage], self.counts[region]
        f.zero(self.regions[region], len(self.vectors) * self.fmt.parts * count * self.fmt.vector_bytes)
        if not count:
            return
        stop, there = f.int(count) if some is None else some, self.word(f"{name}_at").differs(0)
        with f.when(there), self.rows(name) as (row, start), f.loop(0, stop) as index:
            for part in range(kind.parts):
                at = start + index * self.word(f"{name}_{axis}") + part * (kind.bytes // kind.parts)
                self.of_row(region, row, index, part).store(kind.decode(f, at.load(kind.raw), self.fmt.real))

    def scatter(self, region: str, name: str, storage: str, numbers: list[list[Num]]) -> None:
        """Take numbers of each vector, in order, to a small array of any strides, if it is there."""
        f, kind, count = self.f, STORAGES[storage], self.counts[region]
        if not count:
            return
        with f.when(self.word(f"{name}_at").differs(0)):
            for vector, own in enumerate(numbers):
                for index, number in enumerate(own):
                    self.put(region, vector, index, number)
            with self.rows(name) as (row, start), f.loop(0, count) as at:
                for part in range(kind.parts):
                    target = start + at * self.word(f"{name}_time") + part * (kind.bytes // kind.parts)
                    target.store(kind.encode(f, self.of_row(region, row, at, part).load(self.fmt.real)))

    @contextmanager
    def rows(self, name: str) -> Iterator[tuple[Int, Ptr]]:
        """Go through the rows of the item, and where they begin in an array."""
        with self.f.loop(0, len(self.vectors) * self.width) as row:
            yield row, self._start(name, self.first + row)

    def of_row(self, region: str, row: Int, index: Int, part: int) -> Ptr:
        """Return where a number of a single row is in a region."""
        vector = row // self.width
        return self.own(region, vector, index, part) + (row - vector * self.width) * self.fmt.real_bytes
