"""A formula in torch, written down as the program of a cell: it is called once with numbers that are not known yet.

The numbers take the place of tensors by torch's own protocol for that, so a formula is ordinary code: functions of
`FUNCTIONS` below, and + - * < with tensors and constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from multirec._core.cell import Instruction, Operation

__all__ = ["written_down"]

Formula: TypeAlias = Callable[..., tuple[Any, ...]]


def written_down(formula: Formula, count: int) -> tuple[tuple[Instruction, ...], tuple[int, ...]]:
    """Return the program of a formula of `count` numbers, and the places of what it returns."""
    program = _Program(count)
    results = formula(*(Number(program, index) for index in range(count)))
    return tuple(program.instructions), tuple(number.index for number in results)


class _Program:
    def __init__(self, count: int) -> None:
        self._count = count
        self._known: dict[Instruction, Number] = {}

    @property
    def instructions(self) -> Sequence[Instruction]:
        return list(self._known)

    def add(self, operation: Operation, *given: Any) -> Number:
        """Return the number that an operation gives; the same instruction is written once."""
        arguments = float(given[0]) if operation == "constant" else tuple(self._number(part).index for part in given)
        instruction: Instruction = operation, arguments
        if instruction not in self._known:
            self._known[instruction] = Number(self, self._count + len(self._known))
        return self._known[instruction]

    def _number(self, value: Any) -> Number:
        return value if isinstance(value, Number) else self.add("constant", value)


class Number:
    """A number of each channel, known when the program runs."""

    def __init__(self, program: _Program, index: int) -> None:
        self.program, self.index = program, index

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, given: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Number:
        first = next(part for part in given if isinstance(part, Number))
        return FUNCTIONS[function](first.program, *given, **(named or {}))

    def __add__(self, other: Any) -> Number:
        return self.program.add("add", self, other)

    def __radd__(self, other: Any) -> Number:
        return self.program.add("add", other, self)

    def __sub__(self, other: Any) -> Number:
        return self.program.add("sub", self, other)

    def __rsub__(self, other: Any) -> Number:
        return self.program.add("sub", other, self)

    def __mul__(self, other: Any) -> Number:
        return self.program.add("mul", self, other)

    def __rmul__(self, other: Any) -> Number:
        return self.program.add("mul", other, self)

    def __neg__(self) -> Number:
        return self.program.add("neg", self)

    def __lt__(self, other: Any) -> Number:
        return self.program.add("less", self, other)


def _relu(program: _Program, number: Number) -> Number:
    return program.add("select", number < 0.0, 0.0, number)


def _lerp(program: _Program, start: Number, end: Number, share: Number) -> Number:
    way = end - start
    # as torch does: from the nearer end
    return program.add("select", share < 0.5, program.add("fma", start, share, way), end - way * (1.0 - share))


def _gelu(program: _Program, number: Number, approximate: str = "none") -> Number:
    if approximate != "tanh":
        raise NotImplementedError("only the GELU by tanh has a program")
    inner = math.sqrt(2 / math.pi) * (number + 0.044715 * (number * number * number))
    return 0.5 * number * (1.0 + program.add("tanh", inner))


def _one(operation: Operation) -> Callable[[_Program, Number], Number]:
    return lambda program, number: program.add(operation, number)


FUNCTIONS: dict[Any, Callable[..., Number]] = {
    torch.sigmoid: _one("sigmoid"),
    torch.tanh: _one("tanh"),
    torch.exp: _one("exp"),
    torch.expm1: _one("expm1"),
    torch.sqrt: _one("sqrt"),
    functional.softplus: _one("softplus"),
    torch.relu: _relu,
    functional.gelu: _gelu,
    torch.lerp: _lerp,
    torch.addcmul: lambda program, start, one, other: program.add("fma", start, one, other),
    torch.where: lambda program, condition, yes, no: program.add("select", condition, yes, no),
}
"""What a formula may call."""
