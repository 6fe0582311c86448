"""A small language over llvmlite: integers, pointers, loops.

Kernels are ordinary Python functions that run once, at generation time. What is a Python int, list or `for` then
is unrolled into the machine code; what is an `Int`, a `Ptr` or a `Function.loop` happens at run time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
PTR = I8.as_pointer()
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()


def like(value: Any, kind: Any) -> Any:
    """Return the type of numbers of `kind`, as many as `value` has."""
    return ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind


def filled(kind: Any, number: float) -> Any:
    """Return a number, or a vector that has it everywhere."""
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


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

    def stream(self, value: Any) -> None:
        """Store past the caches; the address must be a multiple of 32 bytes, or of 64 for longer vectors."""
        size = value.type.count * {FLOAT: 4, DOUBLE: 8}.get(value.type.element, 2)
        store = self.f.b.store(value, self._as(value.type), align=min(size, 64))
        store.set_metadata("nontemporal", self.f.module.add_metadata([ir.Constant(I32, 1)]))

    def int(self) -> Int:
        return Int(self.f, self.load(I64))

    def address(self) -> Int:
        return Int(self.f, self.f.b.ptrtoint(self.v, I64))

    def _as(self, kind: Any) -> Any:
        return self.f.b.bitcast(self.v, kind.as_pointer())


class Function:
    """One function under construction."""

    def __init__(self, module: ir.Module, name: str, arguments: Sequence[Any], *, public: bool = False) -> None:
        self.module = module
        self.handle = ir.Function(module, ir.FunctionType(ir.VoidType(), list(arguments)), name)
        # tables for unwinding are not needed, and those of Windows cannot always be loaded where the code is
        self.handle.attributes.add("nounwind")
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

    def either(self, condition: Int, yes: Ptr, no: Ptr) -> Ptr:
        return Ptr(self, self.b.select(condition.v, yes.v, no.v))

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

    def prefetch(self, place: Ptr) -> None:
        read, near, data = (ir.Constant(I32, number) for number in (0, 3, 1))
        self.intrinsic_void("llvm.prefetch.p0", [place.v, read, near, data])

    def intrinsic_void(self, name: str, arguments: Sequence[Any]) -> None:
        self.intrinsic(name, ir.VoidType(), arguments)

    def finish(self) -> None:
        self.b.ret_void()
