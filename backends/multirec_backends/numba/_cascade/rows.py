"""One row of a signal in scratch memory: numbers one after another along time, whatever their stride and data type."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .._code.emit import I64, PTR, Function, Int, Ptr
from .._code.frame import Frame
from .._code.memory import STORAGES, Storage
from .._code.numbers import Format
from .._code.stream import LINE


class Rows:
    """The functions between memory and rows of one module, generated when first asked for."""

    def __init__(self, frame: Frame, module: ir.Module) -> None:
        self.frame, self.module = frame, module
        self._made: dict[tuple[str, str], Function] = {}

    def load(self, row: Ptr, source: Ptr, stride: Int, steps: Int, storage: str) -> None:
        self.frame.f.call(self._get("load_row", storage, [PTR, PTR, I64, I64]), row, source, stride, steps)

    def store(self, row: Ptr, target: Ptr, stride: Int, steps: Int, storage: str) -> None:
        """Store a row, and past the caches where outputs are large and it begins where that can be."""
        function = self._get("store_row", storage, [PTR, PTR, I64, I64, I64])
        self.frame.f.call(function, row, target, stride, steps, self.frame.word("large"))

    def _get(self, what: str, storage: str, arguments: list[Any]) -> Function:
        key = what, storage
        if key not in self._made:
            function = Function(self.module, f"{what}_{storage}", arguments)
            emit = _emit_load if what == "load_row" else _emit_store
            emit(function, self.frame.fmt, STORAGES[storage], *function.arguments)
            function.finish()
            self._made[key] = function
        return self._made[key]


def lead(f: Function, target: Ptr, stride: Int, storage: str) -> Int:
    """Return how many samples there are before one that begins a cache line, where they are neighbours."""
    size = STORAGES[storage].bytes
    return f.select(stride.equals(size), ((0 - target.address()) & (LINE - 1)) // size, 0)


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
    size, done = storage.bytes // storage.parts, f.int(0)
    if storage.parts == fmt.parts:
        whole = f.select(stride.equals(storage.bytes), (steps * fmt.parts) & -fmt.width, 0)
        aligned = (target.address() & (fmt.width * size - 1)).equals(0)
        with f.choice(large.differs(0) & aligned) as (past, near):
            for branch, name in ((past, "stream"), (near, "store")):
                with branch, f.loop(0, whole, fmt.width) as at:
                    value = storage.encode(f, (row + at * fmt.real_bytes).load(fmt.vector))
                    getattr(target + at * size, name)(value)
        done = whole // fmt.parts
    with f.loop(done, steps) as time:
        # a real signal has the real parts of a complex row
        for part in range(storage.parts):
            value = (row + time * (fmt.parts * fmt.real_bytes) + part * fmt.real_bytes).load(fmt.real)
            (target + time * stride + part * size).store(storage.encode(f, value))
