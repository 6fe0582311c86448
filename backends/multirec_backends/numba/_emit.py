"""A small language over llvmlite: integers, pointers, loops, and numbers that are vectors of lanes.

Kernels are ordinary Python functions that run once, at generation time. What is a Python int, list or `for` then
is unrolled into the machine code; what is an `Int`, `Ptr`, `Num` or `Function.loop` happens at run time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
PTR = I8.as_pointer()
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()


class Int:
    """A run-time integer (64 bits, or one bit for conditions) with Python's operators."""

    __slots__ = ("f", "v")

    def __init__(self, f: Function, value: Any) -> None:
        self.f, self.v = f, value

    def _with(self, operation: str, other: Any) -> Int:
        return Int(self.f, getattr(self.f.b, operation)(self.v, self.f.value(other)))

    def __add__(self, other: Any) -> Int:
        return self._with("add", other)

    def __sub__(self, other: Any) -> Int:
        return self._with("sub", other)

    def __rsub__(self, other: Any) -> Int:
        return self.f.int(other) - self

    def __mul__(self, other: Any) -> Int:
        return self._with("mul", other)

    def __floordiv__(self, other: Any) -> Int:
        return self._with("sdiv", other)

    def __and__(self, other: Any) -> Int:
        return self._with("and_", other)

    def __or__(self, other: Any) -> Int:
        return self._with("or_", other)

    __radd__, __rmul__ = __add__, __mul__

    def _is(self, operator: str, other: Any) -> Int:
        return Int(self.f, self.f.b.icmp_signed(operator, self.v, self.f.value(other)))

    def __lt__(self, other: Any) -> Int:
        return self._is("<", other)

    def __le__(self, other: Any) -> Int:
        return self._is("<=", other)

    def __gt__(self, other: Any) -> Int:
        return self._is(">", other)

    def __ge__(self, other: Any) -> Int:
        return self._is(">=", other)

    def equals(self, other: Any) -> Int:
        return self._is("==", other)

    def differs(self, other: Any) -> Int:
        return self._is("!=", other)


class Ptr:
    """A run-time address; adding to it counts bytes."""

    __slots__ = ("f", "v")

    def __init__(self, f: Function, value: Any) -> None:
        self.f, self.v = f, value

    def __add__(self, offset: Any) -> Ptr:
        return Ptr(self.f, self.f.b.gep(self.v, [self.f.value(offset)], source_etype=I8))

    def load(self, kind: Any) -> Any:
        return self.f.b.load(self._as(kind), align=1, typ=kind)

    def store(self, value: Any) -> None:
        self.f.b.store(value, self._as(value.type), align=1)

    def int(self) -> Int:
        return Int(self.f, self.load(I64))

    def _as(self, kind: Any) -> Any:
        return self.f.b.bitcast(self.v, kind.as_pointer())


class Function:
    """One function under construction."""

    def __init__(self, module: ir.Module, name: str, arguments: Sequence[Any], *, public: bool = False) -> None:
        self.module = module
        self.handle = ir.Function(module, ir.FunctionType(ir.VoidType(), list(arguments)), name)
        if not public:
            self.handle.linkage = "internal"
            self.handle.attributes.add("noinline")
        self.b = ir.IRBuilder(self.handle.append_basic_block("entry"))
        self.arguments: list[Any] = [
            Ptr(self, value) if value.type == PTR else Int(self, value) for value in self.handle.args
        ]

    def value(self, number: Any) -> Any:
        """Return what llvmlite takes for a wrapper, a Python integer, or a value of its own."""
        if isinstance(number, int):
            return ir.Constant(I64, number)
        return number.v if isinstance(number, (Int, Ptr)) else number

    def int(self, number: Any) -> Int:
        return number if isinstance(number, Int) else Int(self, self.value(number))

    def call(self, function: Function, *arguments: Any) -> None:
        self.b.call(function.handle, [self.value(argument) for argument in arguments])

    def intrinsic(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        kinds = [argument.type for argument in arguments]
        handle = self.module.globals.get(name)
        if handle is None:
            handle = ir.Function(self.module, ir.FunctionType(result, kinds), name)
        return self.b.call(handle, list(arguments))

    def select(self, condition: Int, yes: Any, no: Any) -> Int:
        return Int(self, self.b.select(condition.v, self.value(yes), self.value(no)))

    def minimum(self, one: Any, other: Any) -> Int:
        return self.select(self.int(one) < other, one, other)

    def maximum(self, one: Any, other: Any) -> Int:
        return self.select(self.int(one) > other, one, other)

    def variable(self, kind: Any) -> Ptr:
        """A slot that may change inside loops; the compiler keeps it in a register."""
        with self.b.goto_entry_block():
            return Ptr(self, self.b.bitcast(self.b.alloca(kind), PTR))

    @contextmanager
    def loop(self, start: Any, stop: Any, step: Any = 1) -> Iterator[Int]:
        """Count from `start` up to below `stop`, at run time."""
        counter = self.variable(I64)
        counter.store(self.value(start))
        head, body, after = (self.b.append_basic_block(name) for name in ("head", "body", "after"))
        self.b.branch(head)
        self.b.position_at_end(head)
        index = counter.int()
        self.b.cbranch((index < stop).v, body, after)
        self.b.position_at_end(body)
        yield index
        counter.store((index + step).v)
        self.b.branch(head)
        self.b.position_at_end(after)

    @contextmanager
    def when(self, condition: Int) -> Iterator[None]:
        with self.b.if_then(condition.v):
            yield

    @contextmanager
    def choice(self, condition: Int) -> Iterator[tuple[Any, Any]]:
        with self.b.if_else(condition.v) as both:
            yield both

    def copy(self, target: Ptr, source: Ptr, size: Any) -> None:
        """Move `size` bytes; the two may overlap."""
        self.intrinsic_void("llvm.memmove.p0.p0.i64", [target.v, source.v, self.value(size), ir.Constant(I1, 0)])

    def zero(self, target: Ptr, size: Any) -> None:
        self.intrinsic_void("llvm.memset.p0.i64", [target.v, ir.Constant(I8, 0), self.value(size), ir.Constant(I1, 0)])

    def intrinsic_void(self, name: str, arguments: Sequence[Any]) -> None:
        self.intrinsic(name, ir.VoidType(), arguments)

    def finish(self) -> None:
        self.b.ret_void()


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
            return Num(self.f, [b.fmul(self.parts[0], other.parts[0])])
        (ar, ai), (br, bi) = self.parts, other.parts
        return Num(self.f, [self._fma(b.fneg(ai), bi, b.fmul(ar, br)), self._fma(ai, br, b.fmul(ar, bi))])

    def conj(self) -> Num:
        return Num(self.f, [self.parts[0], *(self.f.b.fneg(part) for part in self.parts[1:])])

    def plus(self, a: Num, b: Num) -> Num:
        """Return self + a·b, each multiply-add rounded once where the machine can."""
        if len(self.parts) == 1:
            return Num(self.f, [self._fma(a.parts[0], b.parts[0], self.parts[0])])
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
        return Num(self.f, [self._splat(start + part * self.fmt.real_bytes) for part in range(self.fmt.parts)])

    def _splat(self, pointer: Ptr) -> Any:
        b, vector = self.f.b, self.fmt.vector
        one = b.insert_element(ir.Constant(vector, ir.Undefined), pointer.load(self.fmt.real), ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
        return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


class Slot:
    """A `Num` that changes inside loops, in registers."""

    def __init__(self, f: Function, fmt: Format, start: Num) -> None:
        self.f, self.fmt = f, fmt
        self.slots = [f.variable(fmt.vector) for _ in range(fmt.parts)]
        self.set(start)

    def get(self) -> Num:
        return Num(self.f, [slot.load(self.fmt.vector) for slot in self.slots])

    def set(self, number: Num) -> None:
        for slot, part in zip(self.slots, number.parts, strict=True):
            slot.store(part)
