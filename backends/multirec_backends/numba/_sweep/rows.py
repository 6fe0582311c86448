"""Where channels are neighbours in memory: rows of time as they lie there, without tiles.

An item is a range of channels of one example, or of a few. A step takes one row of time across it, a vector of
channels after the other, so every array is read and written from one end of memory to the other. What a vector of
channels remembers, and coefficients that do not change along time, are in the first-level cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from llvmlite import ir

from .._code.emit import Int, Ptr
from .._code.frame import Frame
from .._code.memory import STORAGES, Access, Limits, Storage
from .._code.numbers import Num
from .._code.stream import LINE, fence
from .._recurrence.spec import Spec


class Place(NamedTuple):
    """An array as an item sees it: where its part begins, and how far examples and samples are apart."""

    start: Ptr
    batch: Int
    time: Int
    tap: Int
    access: Access


class Block(NamedTuple):
    """An item: its first example and channel, how many it has, and channels up to whole vectors."""

    example: Int
    lane: Int
    examples: Int
    lanes: Int
    padded: Int


class Row(NamedTuple):
    """A sample of an example, in running order."""

    time: Int
    example: Int


class Spot(NamedTuple):
    """A vector of channels in a row; `limits` say which of its channels are there, None for all."""

    row: Row
    lane: Int
    limits: Limits | None
    streams: bool


class Sweep(Frame):
    """What both directions share: places of arrays, memory for each vector of channels, the walk."""

    spec: Spec

    def __init__(self, module: ir.Module, name: str, spec: Spec, *, backward: bool = False) -> None:
        super().__init__(module, name, spec)
        assert spec.order is not None
        assert spec.input_order is not None
        self.known_p, self.known_q = spec.order, spec.input_order
        self.backward = backward
        self.storages = {"feedforward": spec.feedforward, "feedback": spec.feedback}
        self.varies = {"feedforward": spec.feedforward_varies, "feedback": spec.feedback_varies}
        self.counts = {"feedforward": self.known_q + 1, "feedback": self.known_p}
        # once for a kernel: what is written to memory might be these words, for all that the compiler knows
        self.regions = {name: self.region(name) for name in spec.interface.regions}
        self.length = self.word("length")
        self.places: dict[str, Place] = {}
        self.block: Block

    def emit(
        self, read: Sequence[tuple[str, str]], written: Sequence[tuple[str, str]], start: Callable[[], None],
        step: Callable[[Spot, bool], None], finish: Callable[[], None], edge: int,
    ) -> None:  # fmt: skip
        """Emit the kernel: `step` for every vector of channels of every row.

        It is told whether the row is one of the `edge` first or last ones.
        """
        f = self.f
        with self.items() as item:
            self.block = self._block(item)
            self.places = {name: self._place(name, STORAGES[storage]) for name, storage in (*read, *written)}
            start()
            streams = self._whole([self.places[name] for name, _ in written])
            with f.loop(0, self.length) as index:
                time = self.length - 1 - index if self.backward else index
                inside = (time >= edge) & (time < self.length - edge)
                with f.loop(0, self.block.examples) as example:
                    self._row(Row(time, example), inside, streams, step)
            fence(f)
            finish()

    def _row(self, row: Row, inside: Int, streams: Int, step: Callable[[Spot, bool], None]) -> None:
        f, fmt, lanes = self.f, self.fmt, self.block.lanes
        whole = f.select(inside, lanes & -fmt.lanes, 0)
        with f.choice(streams) as both:
            for branch, past in zip(both, (True, False), strict=True):
                with branch, f.loop(0, whole, fmt.lanes) as lane:
                    for group in range(fmt.groups):
                        step(Spot(row, lane + group * fmt.width, None, past), False)
        with f.loop(whole, lanes, fmt.width) as lane:
            step(Spot(row, lane, (f.int(0), f.minimum(lanes - lane, fmt.width)), streams=False), True)

    def _block(self, item: Int) -> Block:
        f, word = self.f, self.word
        lanes, examples = word("lanes"), word("examples")
        slices = (word("channels") + lanes - 1) // f.maximum(lanes, 1)
        block = item // slices
        lane, example = (item - block * slices) * lanes, block * examples
        examples, own = f.minimum(examples, word("batch") - example), f.minimum(lanes, word("channels") - lane)
        return Block(example, lane, examples, own, (lanes + (self.fmt.width - 1)) & -self.fmt.width)

    def _place(self, name: str, storage: Storage) -> Place:
        batch, channel, time = (self.word(f"{name}_{axis}") for axis in ("batch", "channel", "time"))
        start = self.pointer(name) + self.block.example * batch + self.block.lane * channel
        tap = self.word(f"{name}_tap") if name.endswith(("feedforward", "feedback")) else self.f.int(0)
        return Place(start, batch, time, tap, Access(self.f, self.fmt, storage))

    def _whole(self, places: list[Place]) -> Int:
        """Whether outputs are large, and every row of theirs begins at a line."""
        bits = self.block.lanes * 0
        for place in places:
            bits = bits | place.start.address() | place.batch | place.time
        return self.word("large").differs(0) & (bits & (LINE - 1)).equals(0)

    def _at(self, place: Place, row: Row, lane: Int, tap: int = 0) -> Ptr:
        offset = row.time * place.time + row.example * place.batch + place.tap * tap
        return place.start + offset + lane * place.access.storage.bytes

    def read(self, name: str, spot: Spot, later: int = 0, tap: int = 0) -> Num:
        """Read a vector of an array, `later` samples after the row."""
        place, row = self.places[name], spot.row
        at = self._at(place, Row(row.time + later, row.example), spot.lane, tap)
        return Num(self.f, place.access.read(at, spot.limits))

    def write(self, name: str, spot: Spot, number: Num, tap: int = 0) -> None:
        place = self.places[name]
        at = self._at(place, spot.row, spot.lane, tap)
        if spot.streams:
            place.access.stream(at, number.parts)
        else:
            place.access.write(at, number.parts, spot.limits)

    @property
    def number_bytes(self) -> int:
        return self.fmt.parts * self.fmt.vector_bytes

    def own(self, region: str, count: int, spot: Spot) -> Ptr:
        """Where the numbers of a vector of channels begin, in a region that has `count` for each."""
        lane = spot.row.example * self.block.padded + spot.lane
        return self.regions[region] + lane * (count * self.fmt.parts * self.fmt.real_bytes)

    def get(self, at: Ptr, index: Int | int) -> Num:
        at = at + self.f.int(index) * self.number_bytes
        return Num(
            self.f, [(at + part * self.fmt.vector_bytes).load(self.fmt.vector) for part in range(self.fmt.parts)]
        )

    def put(self, at: Ptr, index: Int | int, number: Num) -> None:
        at = at + self.f.int(index) * self.number_bytes
        for part, value in enumerate(number.parts):
            (at + part * self.fmt.vector_bytes).store(value)

    def clear(self, region: str, count: int) -> None:
        size = self.block.examples * self.block.padded * (count * self.fmt.parts * self.fmt.real_bytes)
        self.f.zero(self.regions[region], size)

    @contextmanager
    def vectors(self) -> Iterator[Spot]:
        """Go through the vectors of channels of all examples, outside of time."""
        f, lanes, width = self.f, self.block.lanes, self.fmt.width
        with f.loop(0, self.block.examples) as example, f.loop(0, lanes, width) as lane:
            yield Spot(Row(f.int(0), example), lane, (f.int(0), f.minimum(lanes - lane, width)), streams=False)

    def gather(
        self, region: str, count: int, name: str, storage: str, axis: str = "time", some: Int | None = None
    ) -> None:
        """Bring `count` numbers of each channel from a small array of any strides; zeros where it is not there.

        With `some`, only so many of them.
        """
        kind, real = STORAGES[storage], self.fmt.real
        self.clear(region, count)
        there = self.word(f"{name}_at").differs(0)
        with self.f.when(there), self._channels(region, count, name, axis, some) as (own, array):
            for part in range(kind.parts):
                raw = (array + part * (kind.bytes // kind.parts)).load(kind.raw)
                (own + part * self.fmt.vector_bytes).store(kind.decode(self.f, raw, real))

    def scatter(self, region: str, count: int, name: str, storage: str) -> None:
        """Take `count` numbers of each channel to a small array of any strides, if it is there."""
        kind, real = STORAGES[storage], self.fmt.real
        there = self.word(f"{name}_at").differs(0)
        with self.f.when(there), self._channels(region, count, name, "time") as (own, array):
            for part in range(kind.parts):
                value = (own + part * self.fmt.vector_bytes).load(real)
                (array + part * (kind.bytes // kind.parts)).store(kind.encode(self.f, value))

    @contextmanager
    def _channels(
        self, region: str, count: int, name: str, axis: str, some: Int | None = None
    ) -> Iterator[tuple[Ptr, Ptr]]:
        f, fmt = self.f, self.fmt
        batch, channel, stride = (self.word(f"{name}_{one}") for one in ("batch", "channel", axis))
        start = self.pointer(name) + self.block.example * batch + self.block.lane * channel
        with f.loop(0, self.block.examples) as example, f.loop(0, self.block.lanes) as lane:
            vector = lane & -fmt.width
            own = self.own(region, count, Spot(Row(f.int(0), example), vector, None, streams=False))
            own = own + (lane - vector) * fmt.real_bytes
            array = start + example * batch + lane * channel
            with f.loop(0, f.int(count) if some is None else some) as index:
                yield own + index * self.number_bytes, array + index * stride

    def taps(self, name: str, spot: Spot, later: int = 0, tap: int = 0) -> Num:
        """Return a coefficient of the sample `later` than the row: from memory, or kept where it does not change."""
        if self.varies[name]:
            return self.read(name, spot, later, tap)
        return self.get(self.own(f"steady_{name}", self.counts[name], spot), tap)

    def varying(self) -> list[tuple[str, str]]:
        """Return the coefficients that are read along time, with their storage."""
        return [(name, storage) for name, storage in self.storages.items() if storage and self.varies[name]]

    def keep_steady(self) -> None:
        """Bring the other coefficients, which stay."""
        for name, storage in self.storages.items():
            if storage and not self.varies[name]:
                self.gather(f"steady_{name}", self.counts[name], name, storage, "tap")
