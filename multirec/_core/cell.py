"""What is elementwise in one sample of a unit, as backends see it: a short program that each channel runs by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from .problem import ComputeDtype

__all__ = ["Cell", "Instruction", "Lines", "Operation", "Place"]

Operation: TypeAlias = (
    Literal["constant", "add", "sub", "mul", "fma", "neg", "less", "select"]
    | Literal["sigmoid", "tanh", "exp", "expm1", "softplus", "sqrt"]
)
Instruction: TypeAlias = tuple[Operation, tuple[int, ...] | float]
"""An operation, and the places of its arguments among all numbers; of a constant, its value."""


class Place(NamedTuple):
    """How the numbers of an operand or a result lie in memory.

    Each channel has `parts` numbers there. Numbers of one part are neighbours from channel to channel, or with `apart`
    that many numbers from each other.
    """

    dtype: str
    parts: int
    apart: int = 1


class Lines(NamedTuple):
    """Bytes from row to row, and from part to part. Rows are examples; what they share has 0 from row to row."""

    row: int
    part: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A program without branches: from the numbers of its operands, one after the other, to those of its results.

    All is computed in `compute_dtype`; numbers of complex operands are complex, and are only added, multiplied and
    stored. Numbers are counted from the first operand's first part on; each instruction adds one::

        constant value    add a b    sub a b    mul a b    neg a    fma a b c = a + b·c
        less a b          whether a < b, False where either is NaN
        select a b c      b where a holds, else c
        sigmoid, tanh, exp, expm1, softplus, sqrt      of one number; softplus(a) = log(1 + e^a)

    `stored` are the numbers that go to the results, one after the other. What is NaN or infinite is as in torch, where
    numbers are real.
    """

    compute_dtype: ComputeDtype
    operands: tuple[Place, ...]
    program: tuple[Instruction, ...]
    results: tuple[Place, ...]
    stored: tuple[int, ...]
