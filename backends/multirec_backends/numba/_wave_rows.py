"""One row of a signal in scratch memory: numbers one after another along time, whatever their stride and data type."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ._emit import I64, PTR, Function, Int, Ptr
from ._frame import Frame
from ._memory import STORAGES, Storage
from ._numbers import Format
from ._stream import LINE


class Rows:
    """The functions between memory and rows of one module."""

    def __init__(self, frame: Frame, module: ir.Module, x: str, y: str) -> None:
        self.frame, self.y = frame, STORAGES[y]
        # (row, source or target, time stride, steps), and whether to write past the caches
        self._load = _function(module, "load_row", [PTR, PTR, I64, I64], _emit_load, frame.fmt, STORAGES[x])
        self._store = _function(module, "store_row", [PTR, PTR, I64, I64, I64], _emit_store, frame.fmt, self.y)

    def load(self, row: Ptr, source: Ptr, stride: Int, steps: Int) -> None:
        self.frame.f.call(self._load, row, source, stride, steps)

    def store(self, row: Ptr, target: Ptr, stride: Int, steps: Int) -> None:
        self.frame.f.call(self._store, row, target, stride, steps, self.frame.word("large"))

    def lead(self, target: Ptr, stride: Int) -> Int:
        """Return how many samples there are before one that begins a cache line, where they are neighbours."""
        items = ((0 - target.address()) & (LINE - 1)) // self.y.bytes
        return self.frame.f.select(stride.equals(self.y.bytes), items, 0)


def _function(module: ir.Module, name: str, arguments: list[Any], emit: Any, fmt: Format, storage: Storage) -> Function:
    function = Function(module, name, arguments)
    emit(function, fmt, storage, *function.arguments)
    function.finish()
    return function


def _emit_load(f: Function, fmt: Format, storage: Storage, row: Ptr, source: Ptr, stride: Int, steps: Int) -> None:
    size, raw = storage.bytes // storage.parts, ir.VectorType(storage.raw, fmt.width)
    done = f.int(0)
    if storage.parts == fmt.parts:
        neighbours, count = stride.equals(storage.bytes), steps * fmt.parts
        whole = f.select(neighbours, count & -fmt.width, 0)
        with f.loop(0, whole, fmt.width) as at:
            (row + at * fmt.real_bytes).store(storage.decode(f, (source + at * size).load(raw), fmt.real))
        done = whole // fmt.parts
    with f.loop(done, steps) as time:
        for part in range(fmt.parts):
            value = ir.Constant(fmt.real, 0)
            if part < storage.parts:
                value = storage.decode(f, (source + time * stride + part * size).load(storage.raw), fmt.real)
            (row + time * (fmt.parts * fmt.real_bytes) + part * fmt.real_bytes).store(value)


def _emit_store(
    f: Function, fmt: Format, storage: Storage, row: Ptr, target: Ptr, stride: Int, steps: Int, large: Int
) -> None:
    size = storage.bytes // storage.parts
    whole = f.select(stride.equals(storage.bytes), (steps * fmt.parts) & -fmt.width, 0)
    aligned = (target.address() & (fmt.width * size - 1)).equals(0)
    with f.choice(large.differs(0) & aligned) as (past, near):
        for branch, name in ((past, "stream"), (near, "store")):
            with branch, f.loop(0, whole, fmt.width) as at:
                value = storage.encode(f, (row + at * fmt.real_bytes).load(fmt.vector))
                getattr(target + at * size, name)(value)
    with f.loop(whole // fmt.parts, steps) as time:
        for part in range(fmt.parts):
            value = (row + time * (fmt.parts * fmt.real_bytes) + part * fmt.real_bytes).load(fmt.real)
            (target + time * stride + part * size).store(storage.encode(f, value))
