"""Between memory of any strides and tiles: loads, stores, transposes in registers, sums over lanes.

A tile row holds one sample of every lane. In memory a lane starts at its own offset (a table of byte offsets,
then one word that says whether the lanes are neighbours), and time has one stride; `ways` has the ways across.
Lanes and samples outside the problem are zero in the tile and never touched in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from .emit import I1, I64, PTR, Function, Int, Ptr
from .memory import Storage
from .numbers import Format
from .stream import LINE, emit_stream
from .ways import Load, Store, Stream


class Tiles:
    """The tile functions of one module, generated when first asked for."""

    def __init__(self, module: ir.Module, fmt: Format, samples: int) -> None:
        self.module, self.fmt, self.samples = module, fmt, samples
        self._made: dict[tuple[str, str], Function] = {}
        self.others: dict[str, Function] = {}

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
                    Stream(f, fmt, storage, *arguments[:6]).by_lane()
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


def _emit_load(f: Function, fmt: Format, storage: Storage, *arguments: Any) -> None:
    *place, ahead = arguments
    way = Load(f, fmt, storage, *place)
    way.ahead = ahead
    way.run()


def _emit_store(f: Function, fmt: Format, storage: Storage, *arguments: Any) -> None:
    Store(f, fmt, storage, *arguments).run()


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
