"""The ways between memory and a tile.

Where samples are neighbours in memory, squares of lanes and samples are transposed in registers; where lanes are, rows
go as vectors; else numbers go one by one, and only once where time's stride is 0.
"""

from __future__ import annotations

from collections.abc import Callable

from .emit import Function, Int, Ptr
from .memory import Access, Limits, Storage, transpose
from .numbers import Format, Tile

_FEW = 4
"""Lanes or samples at the end below which they go one number at a time: a square costs the same whatever it holds."""
Square = Callable[[Int, Int, Int, Callable[[int], Limits | None]], None]
"""(first lane, sample with the lowest address, row step in bytes, limits of the i-th lane)."""


def _cross(
    f: Function, fmt: Format, storage: Storage, stride: Int, offsets: Ptr, lanes: Int, steps: Int, way: Way
) -> None:
    """Take a tile across by the way that its strides allow."""
    width = fmt.width
    with f.choice(stride.equals(storage.bytes) | stride.equals(-storage.bytes)) as (time, otherwise):
        with time:
            whole_lanes, whole_steps = lanes & -width, steps & -width
            most_lanes = f.select(lanes - whole_lanes < _FEW, whole_lanes, lanes)
            most_steps = f.select(steps - whole_steps < _FEW, whole_steps, steps)
            with f.when(lanes.differs(fmt.lanes) | most_steps.differs(steps)):
                way.edges(steps)
                way.one_by_one(f.int(0), most_lanes, most_steps, steps)
                way.one_by_one(most_lanes, lanes, f.int(0), steps)
            rest = most_lanes.differs(whole_lanes) | most_steps.differs(whole_steps)
            with f.when(rest), f.loop(0, most_lanes, width) as lane:
                start, end = f.select(lane < whole_lanes, whole_steps, 0), f.minimum(lane + width, most_lanes)
                _squares(f, fmt, stride, lane, end, start, most_steps, way.square, partial=True)
            with f.loop(0, whole_lanes, width) as lane:
                _squares(f, fmt, stride, lane, lane + width, f.int(0), whole_steps, way.square)
        with otherwise:
            neighbours = (offsets + 8 * fmt.lanes).int()
            with f.choice(neighbours.differs(0)) as (lane, rest):
                with lane:
                    way.by_lane()
                with rest:
                    way.scattered()


def _squares(
    f: Function, fmt: Format, stride: Int, lane: Int, end_lane: Int, start: Int, end: Int, square: Square, *,
    partial: bool = False,
) -> None:  # fmt: skip
    """Visit the squares of a vector's lanes from sample `start` to `end`; partial ones with limits for each lane."""
    width, backward = fmt.width, stride < 0
    row_step = f.select(backward, -fmt.row_bytes, fmt.row_bytes)
    with f.loop(start, end, width) as time:
        columns, rows = f.minimum(end - time, width), end_lane - lane

        def limits(i: int) -> Limits | None:
            if not partial:
                return None
            count = f.select(rows > i, columns, 0)
            return f.select(backward, width - count, 0), f.select(backward, width, count)

        square(lane, f.select(backward, time + (width - 1), time), row_step, limits)


class Way:
    """One direction between memory and a tile."""

    def __init__(
        self, f: Function, fmt: Format, storage: Storage, tile: Ptr, memory: Ptr, stride: Int, offsets: Ptr, lanes: Int,
        steps: Int,
    ) -> None:  # fmt: skip
        self.f, self.fmt, self.storage, self.memory, self.stride = f, fmt, storage, memory, stride
        self.offsets, self.lanes, self.steps = offsets, lanes, steps
        self.access, self.rows = Access(f, fmt, storage), Tile(f, fmt, tile)

    def run(self) -> None:
        _cross(self.f, self.fmt, self.storage, self.stride, self.offsets, self.lanes, self.steps, self)

    def edges(self, steps: Int) -> None:
        """Prepare a tile that squares do not fill."""

    def square(self, lane: Int, sample: Int, row_step: Int, limits: Callable[[int], Limits | None]) -> None:
        """Take across a vector of lanes times as many samples, of each lane what is within its limits."""
        raise NotImplementedError

    def vector(self, memory: Ptr, row: Ptr, limits: Limits | None) -> None:
        """Take across a vector of neighbouring lanes, or its first few."""
        raise NotImplementedError

    def one(self, memory: Ptr, row: Ptr) -> None:
        """Take across one number."""
        raise NotImplementedError

    def scattered(self) -> None:
        """Take across what has no neighbours."""
        self.edges(self.steps)
        self.one_by_one(self.f.int(0), self.lanes, self.f.int(0), self.steps)

    def start(self, lane: Int) -> Ptr:
        return self.memory + (self.offsets + lane * 8).int()

    def by_lane(self) -> None:
        f, fmt = self.f, self.fmt
        first = self.memory + self.offsets.int()
        with f.loop(0, self.steps) as time, f.loop(0, fmt.lanes, fmt.width) as lane:
            here = first + time * self.stride + lane * self.storage.bytes
            row = self.rows.row(time) + lane * (fmt.parts * fmt.real_bytes)
            left = self.lanes - lane
            with f.choice(left >= fmt.width) as (full, part):
                for branch, limit in ((full, None), (part, (f.int(0), left))):
                    with branch:
                        self.vector(here, row, limit)

    def one_by_one(self, first_lane: Int, end_lane: Int, first_step: Int, end_step: Int) -> None:
        f, fmt = self.f, self.fmt
        size = self.storage.bytes // self.storage.parts
        with f.loop(first_lane, end_lane) as lane:
            start, column = self.start(lane), self.rows.base + _lane_bytes(f, fmt, lane)
            with f.loop(first_step, end_step) as time:
                for part in range(self.storage.parts):
                    row = column + time * fmt.row_bytes + part * fmt.vector_bytes
                    self.one(start + time * self.stride + part * size, row)


class Load(Way):
    """From memory to a tile."""

    ahead: Int

    def edges(self, steps: Int) -> None:
        self.rows.clear((steps + (self.fmt.width - 1)) & -self.fmt.width)

    def scattered(self) -> None:
        f, rows = self.f, self.rows
        with f.choice(self.stride.equals(0)) as (same, other):
            with same:
                # an expanded array, such as the gradient of a sum
                self.edges(self.steps)
                self.one_by_one(f.int(0), self.lanes, f.int(0), f.minimum(self.steps, 1))
                with f.loop(1, self.steps) as row:
                    rows.move(row, 0, 1)
            with other:
                super().scattered()

    def square(self, lane: Int, sample: Int, row_step: Int, limits: Callable[[int], Limits | None]) -> None:
        f, fmt = self.f, self.fmt
        columns = []
        for i in range(fmt.width):
            place = self.start(lane + i) + sample * self.stride
            self.f.prefetch(place + self.ahead)
            columns.append(self.access.read(place, limits(i)))
        target = self.rows.row(sample) + lane * (fmt.parts * fmt.real_bytes)
        for part in range(fmt.parts):
            for i, vector in enumerate(transpose(f, [column[part] for column in columns])):
                (target + row_step * i + part * fmt.vector_bytes).store(vector)

    def vector(self, memory: Ptr, row: Ptr, limits: Limits | None) -> None:
        for k in range(self.storage.parts):
            self.f.prefetch(memory + self.ahead + k * self.access.step)
        for k, part in enumerate(self.access.read(memory, limits)):
            (row + k * self.fmt.vector_bytes).store(part)

    def one(self, memory: Ptr, row: Ptr) -> None:
        row.store(self.storage.decode(self.f, memory.load(self.storage.raw), self.fmt.real))


class Store(Way):
    """From a tile to memory."""

    def square(self, lane: Int, sample: Int, row_step: Int, limits: Callable[[int], Limits | None]) -> None:
        f, fmt = self.f, self.fmt
        source = self.rows.row(sample) + lane * (fmt.parts * fmt.real_bytes)
        parts = [
            transpose(f, [(source + row_step * i + part * fmt.vector_bytes).load(fmt.vector) for i in range(fmt.width)])
            for part in range(self.storage.parts)
        ]
        for i in range(fmt.width):
            self.access.write(self.start(lane + i) + sample * self.stride, [part[i] for part in parts], limits(i))

    def vector(self, memory: Ptr, row: Ptr, limits: Limits | None) -> None:
        parts = [(row + k * self.fmt.vector_bytes).load(self.fmt.vector) for k in range(self.storage.parts)]
        self.access.write(memory, parts, limits)

    def one(self, memory: Ptr, row: Ptr) -> None:
        memory.store(self.storage.encode(self.f, row.load(self.fmt.real)))


class Stream(Store):
    """The same past the caches."""

    def vector(self, memory: Ptr, row: Ptr, limits: Limits | None) -> None:
        if limits is None:
            self.access.stream(
                memory, [(row + k * self.fmt.vector_bytes).load(self.fmt.vector) for k in range(self.storage.parts)]
            )


def _lane_bytes(f: Function, fmt: Format, lane: Int) -> Int:
    """Where a lane's first part lies within a row."""
    group = lane // fmt.width
    return group * (fmt.parts * fmt.vector_bytes) + (lane - group * fmt.width) * fmt.real_bytes
