"""Numbers that are vectors of lanes, real or complex, and the tiles and registers that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from .emit import DOUBLE, FLOAT, I32, Function, Ptr


@dataclass(frozen=True)
class Format:
    """What kernels compute in: `lanes` numbers of a real type, or pairs of them, in `groups` vectors a row."""

    double: bool
    is_complex: bool
    vector_bytes: int

    @property
    def real(self) -> Any:
        return DOUBLE if self.double else FLOAT

    @property
    def real_bytes(self) -> int:
        return 8 if self.double else 4

    @property
    def parts(self) -> int:
        return 2 if self.is_complex else 1

    @property
    def storage(self) -> str:
        """The data type, by name, of one number."""
        return f"{'complex' if self.is_complex else 'float'}{8 * self.parts * self.real_bytes}"

    @property
    def width(self) -> int:
        """Lanes in one vector."""
        return self.vector_bytes // self.real_bytes

    @property
    def vector(self) -> Any:
        return ir.VectorType(self.real, self.width)

    @property
    def groups(self) -> int:
        """Vectors processed side by side, to hide the latency of multiply-adds."""
        return 1 if self.is_complex else 2

    @property
    def lanes(self) -> int:
        return self.groups * self.width

    @property
    def row_bytes(self) -> int:
        return self.groups * self.parts * self.vector_bytes


class Num:
    """A vector of real or complex numbers, one a lane."""

    __slots__ = ("f", "parts")

    def __init__(self, f: Function, parts: Sequence[Any]) -> None:
        self.f, self.parts = f, tuple(parts)

    def __add__(self, other: Num) -> Num:
        return Num(self.f, [self.f.b.fadd(a, b) for a, b in zip(self.parts, other.parts, strict=True)])

    def __mul__(self, other: Num) -> Num:
        b = self.f.b
        if len(self.parts) == 1:
            return Num(self.f, [b.fmul(self.parts[0], part) for part in other.parts])
        (ar, ai), (br, bi) = self.parts, other.parts
        return Num(self.f, [self._fma(b.fneg(ai), bi, b.fmul(ar, br)), self._fma(ai, br, b.fmul(ar, bi))])

    def conj(self) -> Num:
        return Num(self.f, [self.parts[0], *(self.f.b.fneg(part) for part in self.parts[1:])])

    def plus(self, a: Num, b: Num) -> Num:
        """Return self + a·b, each multiply-add rounded once where the machine can; a may be real where b is complex."""
        if len(a.parts) == 1:
            return Num(
                self.f, [self._fma(a.parts[0], part, own) for part, own in zip(b.parts, self.parts, strict=True)]
            )
        (ar, ai), (br, bi), (re, im) = a.parts, b.parts, self.parts
        negative = self.f.b.fneg(ai)
        return Num(
            self.f,
            [self._fma(negative, bi, self._fma(ar, br, re)), self._fma(ai, br, self._fma(ar, bi, im))],
        )

    def _fma(self, a: Any, b: Any, c: Any) -> Any:
        kind = f"v{a.type.count}f{64 if a.type.element == DOUBLE else 32}"
        return self.f.intrinsic(f"llvm.fmuladd.{kind}", a.type, [a, b, c])


def zero(f: Function, fmt: Format) -> Num:
    return Num(f, [ir.Constant(fmt.vector, None)] * fmt.parts)


class Tile:
    """Rows of lanes in a thread's scratch memory; a row is one sample of every lane."""

    def __init__(self, f: Function, fmt: Format, base: Ptr) -> None:
        self.f, self.fmt, self.base = f, fmt, base

    @property
    def row_bytes(self) -> int:
        return self.fmt.row_bytes

    def row(self, row: Any) -> Ptr:
        return self.base + self.f.int(row) * self.row_bytes

    def shifted(self, rows: Any) -> Tile:
        return type(self)(self.f, self.fmt, self.row(rows))

    def clear(self, rows: Any) -> None:
        self.f.zero(self.base, self.f.int(rows) * self.row_bytes)

    def take(self, other: Tile, rows: Any) -> None:
        """Copy the first rows of another tile."""
        self.f.copy(self.base, other.base, self.f.int(rows) * self.row_bytes)

    def move(self, to: Any, start: Any, rows: Any) -> None:
        """Move `rows` rows from row `start` to row `to`; the two may overlap."""
        self.f.copy(self.row(to), self.row(start), self.f.int(rows) * self.row_bytes)

    def get(self, row: Any, group: int) -> Num:
        return Num(self.f, [pointer.load(self.fmt.vector) for pointer in self._parts(row, group)])

    def put(self, row: Any, group: int, number: Num) -> None:
        for pointer, part in zip(self._parts(row, group), number.parts, strict=True):
            pointer.store(part)

    def _parts(self, row: Any, group: int) -> list[Ptr]:
        start = self.row(row) + group * self.fmt.parts * self.fmt.vector_bytes
        return [start + part * self.fmt.vector_bytes for part in range(self.fmt.parts)]


class SharedTile(Tile):
    """Rows of one number, the same for every lane."""

    @property
    def row_bytes(self) -> int:
        return self.fmt.parts * self.fmt.real_bytes

    def get(self, row: Any, group: int) -> Num:
        start = self.row(row)
        return Num(
            self.f, [splat(self.f, self.fmt, start + part * self.fmt.real_bytes) for part in range(self.fmt.parts)]
        )


def splat(f: Function, fmt: Format, pointer: Ptr) -> Any:
    """Return a vector whose elements are all the number at `pointer`."""
    b, vector = f.b, fmt.vector
    one = b.insert_element(ir.Constant(vector, ir.Undefined), pointer.load(fmt.real), ir.Constant(I32, 0))
    mask = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


class Slot:
    """A `Num` that changes inside loops, in registers."""

    def __init__(self, f: Function, fmt: Format, start: Num) -> None:
        self.f, self.fmt = f, fmt
        self.slots = [f.variable(fmt.vector) for _ in start.parts]
        self.set(start)

    def get(self) -> Num:
        return Num(self.f, [slot.load(self.fmt.vector) for slot in self.slots])

    def set(self, number: Num) -> None:
        for slot, part in zip(self.slots, number.parts, strict=True):
            slot.store(part)
