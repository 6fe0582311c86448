"""Between memory of any strides and tiles: loads, stores, transposes in registers, sums over lanes.

A tile row holds one sample of every lane. In memory a lane starts at its own offset (a table of byte offsets,
then one word that says whether the lanes are neighbours), and time has one stride. Three ways lead across:
time is contiguous (square transposes in registers), lanes are contiguous (plain vectors), or neither (one by one,
and once where time stands still).
Lanes and samples outside the problem are zero in the tile and never touched in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from ._emit import I1, I32, I64, PTR, Function, Int, Ptr
from ._memory import Access, Limits, Storage, transpose
from ._numbers import Format, Tile
from ._stream import LINE, emit_stream

_FEW = 4
"""Lanes or samples at the end below which they go one number at a time: a square costs the same whatever it holds."""
Square = Callable[[Int, Int, Int, Callable[[int], Limits | None]], None]
"""(first lane, sample with the lowest address, row step in bytes, limits of the i-th lane)."""


class Tiles:
    """The tile functions of one module, generated when first asked for."""

    def __init__(self, module: ir.Module, fmt: Format, samples: int) -> None:
        self.module, self.fmt, self.samples = module, fmt, samples
        self._made: dict[tuple[str, str], Function] = {}

    def load(self, storage: Storage) -> Function:
        """(tile, source, time stride, offsets, lanes, steps, ahead): fill `steps` rows, zeros elsewhere.

        What lies `ahead` bytes further is asked for: the machine itself follows only a few rows at a time.
        """
        return self._get("load", storage, [PTR, PTR, I64, PTR, I64, I64, I64], _emit_load)

    def store(self, storage: Storage) -> Function:
        """(tile, target, time stride, offsets, lanes, steps): write `steps` rows."""
        return self._get("store", storage, [PTR, PTR, I64, PTR, I64, I64], _emit_store)

    def stream(self, storage: Storage) -> Function:
        """(tile, target, time stride, offsets, lanes, steps, stage, carry, visited, last, descends): past the caches.

        The carry is a line for each lane. `visited` counts the bytes of a row in earlier tiles, up to a line at least;
        `last` says that this tile is the last of the row, `descends` that later tiles have lower addresses.
        """
        arguments = [PTR, PTR, I64, PTR, I64, I64, PTR, PTR, I64, I1, I1]
        return self._get("stream", storage, arguments, self._emit_stream)

    def load_shared(self, storage: Storage) -> Function:
        """(row of numbers, source, time stride, steps): one signal that serves every lane."""
        return self._get("shared", storage, [PTR, PTR, I64, I64], _emit_load_shared)

    def offsets(self, storage: Storage) -> Function:
        """(table, first row, lanes, channels, batch stride, channel stride): where each lane starts."""
        return self._get("offsets", storage, [PTR, I64, I64, I64, I64, I64], _emit_offsets)

    def _emit_stream(self, f: Function, fmt: Format, storage: Storage, *arguments: Any) -> None:
        _, target, stride, offsets, lanes, *_ = arguments
        place = (target + offsets.int()).address()
        neighbours = (offsets + 8 * fmt.lanes).int()
        whole = ((place | stride) & (LINE - 1)).equals(0) & (lanes & (fmt.width - 1)).equals(0)
        with f.choice(stride.equals(storage.bytes) | stride.equals(-storage.bytes)) as (time, otherwise):
            with time:
                emit_stream(f, fmt, storage, self.samples, *arguments)
            with otherwise, f.choice(whole & neighbours.differs(0)) as (lane, rest):
                with lane:
                    _Stream(f, fmt, storage, *arguments[:6]).by_lane()
                with rest:
                    f.call(self.store(storage), *arguments[:6])

    def _get(self, what: str, storage: Storage, arguments: Sequence[Any], emit: Callable[..., None]) -> Function:
        key = (what, storage.name)
        if key not in self._made:
            function = Function(self.module, f"{what}_{storage.name}", arguments)
            emit(function, self.fmt, storage, *function.arguments)
            function.finish()
            self._made[key] = function
        return self._made[key]


def _cross(
    f: Function, fmt: Format, storage: Storage, stride: Int, offsets: Ptr, lanes: Int, steps: Int, way: _Way
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


class _Way:
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


class _Load(_Way):
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
            self.prefetch(place + self.ahead)
            columns.append(self.access.read(place, limits(i)))
        target = self.rows.row(sample) + lane * (fmt.parts * fmt.real_bytes)
        for part in range(fmt.parts):
            for i, vector in enumerate(transpose(f, [column[part] for column in columns])):
                (target + row_step * i + part * fmt.vector_bytes).store(vector)

    def vector(self, memory: Ptr, row: Ptr, limits: Limits | None) -> None:
        for k in range(self.storage.parts):
            self.prefetch(memory + self.ahead + k * self.access.step)
        for k, part in enumerate(self.access.read(memory, limits)):
            (row + k * self.fmt.vector_bytes).store(part)

    def prefetch(self, memory: Ptr) -> None:
        read, near, data = (ir.Constant(I32, number) for number in (0, 3, 1))
        self.f.intrinsic_void("llvm.prefetch.p0", [memory.v, read, near, data])

    def one(self, memory: Ptr, row: Ptr) -> None:
        row.store(self.storage.decode(self.f, memory.load(self.storage.raw), self.fmt.real))


class _Store(_Way):
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


class _Stream(_Store):
    def vector(self, memory: Ptr, row: Ptr, limits: Limits | None) -> None:
        if limits is None:
            self.access.stream(
                memory, [(row + k * self.fmt.vector_bytes).load(self.fmt.vector) for k in range(self.storage.parts)]
            )


def _emit_load(f: Function, fmt: Format, storage: Storage, *arguments: Any) -> None:
    *place, ahead = arguments
    way = _Load(f, fmt, storage, *place)
    way.ahead = ahead
    way.run()


def _emit_store(f: Function, fmt: Format, storage: Storage, *arguments: Any) -> None:
    _Store(f, fmt, storage, *arguments).run()


def _emit_load_shared(
    f: Function, fmt: Format, storage: Storage, row: Ptr, source: Ptr, stride: Int, steps: Int
) -> None:
    size = storage.bytes // storage.parts
    with f.loop(0, steps) as time:
        for part in range(fmt.parts):
            value = ir.Constant(fmt.real, 0)
            if part < storage.parts:
                value = storage.decode(f, (source + time * stride + part * size).load(storage.raw), fmt.real)
            (row + time * (fmt.parts * fmt.real_bytes) + part * fmt.real_bytes).store(value)


def _emit_offsets(
    f: Function, fmt: Format, storage: Storage, table: Ptr, first: Int, lanes: Int, channels: Int,
    batch_stride: Int, channel_stride: Int,
) -> None:  # fmt: skip
    neighbours = f.variable(I1)
    neighbours.store(ir.Constant(I1, 1))
    with f.loop(0, fmt.lanes) as lane:
        row = first + f.minimum(lane, lanes - 1)
        example = row // channels
        offset = example * batch_stride + (row - example * channels) * channel_stride
        (table + lane * 8).store(offset.v)
        near = (offset - table.int()).equals(lane * storage.bytes) | (lane >= lanes)
        neighbours.store(f.b.and_(neighbours.load(I1), near.v))
    (table + 8 * fmt.lanes).store(f.b.zext(neighbours.load(I1), I64))


def _lane_bytes(f: Function, fmt: Format, lane: Int) -> Int:
    """Where a lane's first part lies within a row."""
    group = lane // fmt.width
    return group * (fmt.parts * fmt.vector_bytes) + (lane - group * fmt.width) * fmt.real_bytes
