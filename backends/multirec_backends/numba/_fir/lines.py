"""Numbers one after another in scratch memory, and the ways between them and memory of any stride."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._code.emit import Function, Int, Ptr
from .._code.memory import Access, Storage, shuffle
from .._code.numbers import Format


class Line:
    """Numbers one after another in scratch memory, the imaginary parts `pitch` bytes behind the real ones."""

    def __init__(self, fmt: Format, base: Ptr, pitch: Any) -> None:
        self.fmt, self.base, self.pitch = fmt, base, pitch

    def part(self, part: int, index: Any = 0) -> Ptr:
        place = self.base + self.base.f.int(index) * self.fmt.real_bytes
        return place + self.pitch if part else place

    def shifted(self, index: Any) -> Line:
        return Line(self.fmt, self.part(0, index), self.pitch)

    def clear(self, parts: int, count: Any) -> None:
        f = self.base.f
        for part in range(parts):
            f.zero(self.part(part), f.int(count) * self.fmt.real_bytes)


def emit_load(f: Function, fmt: Format, storage: Storage, line: Line, memory: Ptr, stride: Int, count: Int) -> None:
    """Fill a line with `count` numbers from memory."""

    def vector(place: Ptr, index: Int, backward: bool) -> None:
        for k, part in enumerate(Access(f, fmt, storage).read(place)[: storage.parts]):
            line.part(k, index).store(_turned(f, part) if backward else part)

    def one(place: Ptr, index: Int) -> None:
        for k in range(storage.parts):
            raw = (place + k * (storage.bytes // storage.parts)).load(storage.raw)
            line.part(k, index).store(storage.decode(f, raw, fmt.real))

    _move(f, fmt, storage, memory, stride, count, vector, one)


def emit_store(f: Function, fmt: Format, storage: Storage, line: Line, memory: Ptr, stride: Int, count: Int) -> None:
    """Write the first `count` numbers of a line to memory, rounded to its type."""

    def vector(place: Ptr, index: Int, backward: bool) -> None:
        parts = [line.part(k, index).load(fmt.vector) for k in range(storage.parts)]
        Access(f, fmt, storage).write(place, [_turned(f, part) if backward else part for part in parts])

    def one(place: Ptr, index: Int) -> None:
        for k in range(storage.parts):
            value = storage.encode(f, line.part(k, index).load(fmt.real))
            (place + k * (storage.bytes // storage.parts)).store(value)

    _move(f, fmt, storage, memory, stride, count, vector, one)


def _move(
    f: Function, fmt: Format, storage: Storage, memory: Ptr, stride: Int, count: Int,
    vector: Callable[[Ptr, Int, bool], None], one: Callable[[Ptr, Int], None],
) -> None:  # fmt: skip
    """Go through `count` numbers, by vectors where they are neighbours, in either direction."""
    forward, backward = stride.equals(storage.bytes), stride.equals(-storage.bytes)
    whole = f.select(forward | backward, count & -fmt.width, 0)
    with f.choice(forward) as (ahead, otherwise):
        with ahead, f.loop(0, whole, fmt.width) as index:
            vector(memory + index * stride, index, False)
        with otherwise, f.loop(0, whole, fmt.width) as index:
            vector(memory + (index + (fmt.width - 1)) * stride, index, True)
    with f.loop(whole, count) as index:
        one(memory + index * stride, index)


def _turned(f: Function, vector: Any) -> Any:
    return shuffle(f, vector, vector, range(vector.type.count - 1, -1, -1))
