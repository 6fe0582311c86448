"""How data types lie in memory: reading, writing and rounding vectors of them, and moving elements between vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from .emit import DOUBLE, FLOAT, I16, I32, Function, Int, Ptr, filled, like
from .half import narrowed, widened
from .numbers import Format

Limits = tuple[Int, Int]
"""The first element of a vector that is touched, and the first after it that is not."""


@dataclass(frozen=True)
class Storage:
    """How one data type lies in memory."""

    name: str
    raw: Any
    bytes: int
    parts: int

    def decode(self, f: Function, value: Any, real: Any) -> Any:
        """Turn raw numbers, one or a vector, into numbers of the type that is computed in."""
        if self.name == "float16":
            value = widened(f, value)
        elif self.name == "bfloat16":
            wide = f.b.zext(value, like(value, I32))
            value = f.b.bitcast(f.b.shl(wide, filled(wide.type, 16)), like(value, FLOAT))
        kind = like(value, real)
        return value if value.type == kind else f.b.fpext(value, kind)

    def encode(self, f: Function, value: Any) -> Any:
        """Round to raw numbers, to nearest and ties to even; to half types by way of float32."""
        b = f.b
        narrow = like(value, DOUBLE if self.raw == DOUBLE else FLOAT)
        if value.type != narrow:
            value = b.fptrunc(value, narrow)
        if self.name == "float16":
            return narrowed(f, value)
        if self.name == "bfloat16":
            bits = b.bitcast(value, like(value, I32))
            odd = b.and_(b.lshr(bits, filled(bits.type, 16)), filled(bits.type, 1))
            rounded = b.lshr(b.add(bits, b.add(odd, filled(bits.type, 0x7FFF))), filled(bits.type, 16))
            bits = b.select(b.fcmp_unordered("uno", value, value), filled(bits.type, 0x7FC0), rounded)
            return b.trunc(bits, like(value, I16))
        return value


STORAGES = {
    storage.name: storage
    for storage in (
        Storage("float16", I16, 2, 1),
        Storage("bfloat16", I16, 2, 1),
        Storage("float32", FLOAT, 4, 1),
        Storage("float64", DOUBLE, 8, 1),
        Storage("complex64", FLOAT, 8, 2),
        Storage("complex128", DOUBLE, 16, 2),
    )
}


def transpose(f: Function, vectors: Sequence[Any]) -> list[Any]:
    """Transpose a square of vectors: swap blocks of 1, 2, 4, … elements between pairs of vectors."""
    rows, width = list(vectors), len(vectors)
    size = 1
    while size < width:
        low = [width + i - size if i & size else i for i in range(width)]
        high = [width + i if i & size else i + size for i in range(width)]
        for i in range(width):
            if not i & size:
                a, b = rows[i], rows[i + size]
                rows[i], rows[i + size] = shuffle(f, a, b, low), shuffle(f, a, b, high)
        size *= 2
    return rows


def sums_over_lanes(f: Function, vectors: Sequence[Any]) -> Any:
    """Return one vector whose element i is the sum of the elements of vectors[i]: half a transpose, added."""
    rows, size = list(vectors), 1
    width = len(rows)
    while len(rows) > 1:
        low = [width + i - size if i & size else i for i in range(width)]
        high = [width + i if i & size else i + size for i in range(width)]
        pairs = zip(rows[0::2], rows[1::2], strict=True)
        rows = [f.b.fadd(shuffle(f, a, b, low), shuffle(f, a, b, high)) for a, b in pairs]
        size *= 2
    return rows[0]


def shuffle(f: Function, a: Any, b: Any, order: Sequence[int]) -> Any:
    return f.b.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(order)), list(order)))


def interleaved(width: int) -> tuple[list[int], list[int]]:
    """Orders that turn (re, im) vectors into two vectors of pairs."""
    order = [i // 2 + (i % 2) * width for i in range(2 * width)]
    return order[:width], order[width:]


def load_some(f: Function, source: Ptr, kind: Any, limits: Limits) -> Any:
    """Load the elements whose index is within `limits`, and zeros elsewhere; the others are not touched."""
    arguments = [f.b.bitcast(source.v, kind.as_pointer()), ir.Constant(I32, 1), _within(f, kind.count, limits)]
    return f.intrinsic(f"llvm.masked.load.{_name(kind)}.p0", kind, [*arguments, ir.Constant(kind, None)])


def store_some(f: Function, target: Ptr, value: Any, limits: Limits) -> None:
    """Store the elements whose index is within `limits`; the others are not touched."""
    place, kind = f.b.bitcast(target.v, value.type.as_pointer()), value.type
    arguments = [value, place, ir.Constant(I32, 1), _within(f, kind.count, limits)]
    f.intrinsic_void(f"llvm.masked.store.{_name(kind)}.p0", arguments)


def _name(kind: Any) -> str:
    return f"v{kind.count}{'i16' if kind.element == I16 else 'f64' if kind.element == DOUBLE else 'f32'}"


def _within(f: Function, width: int, limits: Limits) -> Any:
    """Mask of the elements whose index is from the first limit to below the second."""
    kind = ir.VectorType(I32, width)
    indices = ir.Constant(kind, list(range(width)))

    def spread(limit: Int) -> Any:
        one = f.b.insert_element(ir.Constant(kind, ir.Undefined), f.b.trunc(limit.v, I32), ir.Constant(I32, 0))
        return shuffle(f, one, ir.Constant(kind, ir.Undefined), [0] * width)

    low, high = limits
    return f.b.and_(f.b.icmp_signed(">=", indices, spread(low)), f.b.icmp_signed("<", indices, spread(high)))


class Access:
    """Vectors of `width` consecutive items of one storage, whole or the first few."""

    def __init__(self, f: Function, fmt: Format, storage: Storage) -> None:
        self.f, self.fmt, self.storage = f, fmt, storage
        self.raw = ir.VectorType(storage.raw, fmt.width)
        self.step = storage.bytes // storage.parts * fmt.width

    def read(self, source: Ptr, limits: Limits | None = None) -> list[Any]:
        """Return the parts of `width` items at `source`; with `limits`, zeros outside."""
        f, width = self.f, self.fmt.width
        parts = [self._read(source + k * self.step, limits, k) for k in range(self.storage.parts)]
        if self.storage.parts == 2:
            parts = [shuffle(f, parts[0], parts[1], range(k, 2 * width, 2)) for k in range(2)]
        parts = [self.storage.decode(f, part, self.fmt.real) for part in parts]
        return parts + [ir.Constant(self.fmt.vector, None)] * (self.fmt.parts - len(parts))

    def stream(self, target: Ptr, parts: Sequence[Any]) -> None:
        """Write the parts of `width` items to `target`, on a multiple of 64 bytes, past the caches."""
        for k, part in enumerate(self._encoded(parts)):
            (target + k * self.step).stream(part)

    def write(self, target: Ptr, parts: Sequence[Any], limits: Limits | None = None) -> None:
        """Write the parts of `width` items to `target`; with `limits`, the items within alone."""
        for k, part in enumerate(self._encoded(parts)):
            if limits is None:
                (target + k * self.step).store(part)
            else:
                store_some(self.f, target + k * self.step, part, self._limits(limits, k))

    def _encoded(self, parts: Sequence[Any]) -> list[Any]:
        parts = [self.storage.encode(self.f, part) for part in parts[: self.storage.parts]]
        if self.storage.parts == 2:
            parts = [shuffle(self.f, parts[0], parts[1], order) for order in interleaved(self.fmt.width)]
        return list(parts)

    def _read(self, source: Ptr, limits: Limits | None, k: int) -> Any:
        return source.load(self.raw) if limits is None else load_some(self.f, source, self.raw, self._limits(limits, k))

    def _limits(self, limits: Limits, k: int) -> Limits:
        low, high = (limit * self.storage.parts - k * self.fmt.width for limit in limits)
        return low, high
