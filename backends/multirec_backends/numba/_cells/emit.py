"""The machine code of a cell: its program on vectors of channels, row after row."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from multirec.backend import Instruction, Place

from .._code.emit import I32, PTR, Function, Int, Ptr
from .._code.functions import Functions
from .._code.memory import STORAGES, Access
from .._code.numbers import Num
from .spec import CellSpec


def emit(module: ir.Module, name: str, spec: CellSpec) -> None:
    """Add the code of `spec` to `module`; its arguments are the words that `Steps` packs."""
    f = Function(module, name, [PTR, PTR], public=True)
    words: Ptr = f.arguments[0]
    places = (*spec.cell.operands, *spec.cell.results)
    rows, channels = ((words + 8 * (len(places) + index)).int() for index in range(2))
    lines = [words + 8 * (len(places) + 2 + 2 * index) for index in range(len(places))]
    width = spec.format.width
    with f.loop(0, rows) as row, f.loop(0, channels, width) as at:
        # the last vector begins where it ends with the last channel: nothing is written that anything reads
        channel = f.minimum(at, channels - width)
        starts = [Ptr(f, (words + 8 * i).load(PTR)) + row * line.int() for i, line in enumerate(lines)]
        numbers = _Numbers(f, spec, channel, list(zip(places, starts, lines, strict=True)))
        numbers.run()
    f.finish()


class _Numbers:
    """The numbers of a program, each computed where it is first asked for."""

    def __init__(self, f: Function, spec: CellSpec, channel: Int, places: list[tuple[Place, Ptr, Ptr]]) -> None:
        self.f, self.fmt, self.cell, self.channel = f, spec.format, spec.cell, channel
        self.of = Functions(f, self.fmt)
        parts = [(*place, part) for place in places for part in range(place[0].parts)]
        count = sum(place.parts for place in self.cell.operands)
        self.operands, self.results = parts[:count], parts[count:]
        self.known: dict[int, Any] = {}

    def run(self) -> None:
        for number, (place, start, line, part) in zip(self.cell.stored, self.results, strict=True):
            access = Access(self.f, self.fmt, STORAGES[place.dtype])
            access.write(self._at(place, start, line, part), self.get(number).parts)

    def get(self, number: int) -> Any:
        """Return a number, or a vector of conditions."""
        if number not in self.known:
            count = len(self.operands)
            self.known[number] = (
                self._load(*self.operands[number])
                if number < count
                else self._compute(self.cell.program[number - count])
            )
        return self.known[number]

    def _at(self, place: Place, start: Ptr, line: Ptr, part: int) -> Ptr:
        step = STORAGES[place.dtype].bytes * place.apart
        return start + (line + 8).int() * part + self.channel * step

    def _load(self, place: Place, start: Ptr, line: Ptr, part: int) -> Num:
        storage, source = STORAGES[place.dtype], self._at(place, start, line, part)
        if place.apart == 1:
            return Num(self.f, Access(self.f, self.fmt, storage).read(source))
        vector: Any = ir.Constant(ir.VectorType(storage.raw, self.fmt.width), ir.Undefined)
        for lane in range(self.fmt.width):
            one = (source + lane * place.apart * storage.bytes).load(storage.raw)
            vector = self.f.b.insert_element(vector, one, ir.Constant(I32, lane))
        return Num(self.f, [storage.decode(self.f, vector, self.fmt.real)])

    def _compute(self, instruction: Instruction) -> Any:
        operation, given = instruction
        of = self.of
        if isinstance(given, float):
            return of.number(given)
        numbers = [self.get(number) for number in given]
        match operation, numbers:
            case "add", [a, b]:
                return a + b
            case "sub", [a, b]:
                return of.minus(a, b)
            case "mul", [a, b]:
                return a * b
            case "fma", [a, b, c]:
                return a.plus(b, c)
            case "neg", [a]:
                return of.negative(a)
            case "less", [a, b]:
                return of.is_("<", a, b)
            case "select", [condition, yes, no]:
                return of.select(condition, yes, no)
            case "sigmoid", [a]:
                # 0 where e^-x is infinite: torch's is, and so what is infinite is spoilt alike
                return of.over(of.one, of.one + of.exp(of.negative(a)))
            case name, [a]:
                return getattr(of, name)(a)
