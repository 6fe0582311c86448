"""Exponential functions of vectors by arithmetic alone, so that no library of vector functions is needed.

x = n·log 2 + r with |r| ≤ log 2 / 2: n becomes an exponent, and e^r - 1 is a polynomial of exact coefficients. Results
are within 2.5 units in the last place, those below 2e-38 within that; what is NaN stays so.
"""

from __future__ import annotations

import math
from math import factorial
from typing import Any

from llvmlite import ir

from .emit import FLOAT, I32, I64, Function
from .memory import shuffle
from .numbers import Format, Num

_LOG2 = {False: (0.693359375, -2.12194440e-4), True: (6.93147180369123816490e-01, 1.90821492927058770002e-10)}
"""log 2 as a sum of two numbers, of which the first has zeros at its end, so that n times it is exact."""
_ROUND = {False: 1.5 * 2**23, True: 1.5 * 2**52}
"""Added to a number, it leaves its integer part in the last bits."""
_DEGREE = {False: 7, True: 13}
_MOST = {False: 87.0, True: 708.0}
"""What e^x is asked for at most, and the negative of it at least."""
_ARTANH = {False: 8, True: 16}
"""Terms of a series in s² ≤ 1/9."""
_SATURATED = {False: 9.25, True: 19.25}
"""Where tanh has become 1."""


class Functions:
    """Functions of the vectors of one function under construction."""

    def __init__(self, f: Function, fmt: Format) -> None:
        self.f, self.fmt, self.b = f, fmt, f.b
        self.one, self.zero = self.number(1.0), self.number(0.0)

    def number(self, value: float) -> Num:
        """Return a vector of one number."""
        return Num(self.f, [ir.Constant(self.fmt.vector, [value] * self.fmt.width)])

    def spread(self, value: Any) -> Num:
        """Return a vector of one double that is known at run time."""
        value = value if self.fmt.double else self.b.fptrunc(value, FLOAT)
        kind = self.fmt.vector
        one = self.b.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        return Num(self.f, [shuffle(self.f, one, ir.Constant(kind, ir.Undefined), [0] * self.fmt.width)])

    def minus(self, one: Num, other: Num) -> Num:
        return Num(self.f, [self.b.fsub(one.parts[0], other.parts[0])])

    def negative(self, number: Num) -> Num:
        return Num(self.f, [self.b.fneg(number.parts[0])])

    def over(self, one: Num, other: Num) -> Num:
        return Num(self.f, [self.b.fdiv(one.parts[0], other.parts[0])])

    def is_(self, operator: str, one: Num, other: Num) -> Any:
        """Return a vector of conditions, false where either is NaN."""
        return self.b.fcmp_ordered(operator, one.parts[0], other.parts[0])

    def select(self, condition: Any, yes: Num, no: Num) -> Num:
        return Num(self.f, [self.b.select(condition, yes.parts[0], no.parts[0])])

    def at_most(self, number: Num, limit: Num) -> Num:
        return self.select(self.is_(">", number, limit), limit, number)

    def sigmoid(self, number: Num) -> Num:
        """Return 1 / (1 + e^-x)."""
        return self.over(self.one, self.one + self._power(self.negative(number)))

    def tanh(self, number: Num) -> Num:
        """Return (e^2x - 1) / (e^2x + 1)."""
        size = self._of_parts("llvm.fabs", number)
        size = self.at_most(size, self.number(_SATURATED[self.fmt.double]))
        scale, rest = self._exponential(size + size)
        less = self.minus(scale, self.one).plus(scale, rest)
        return self._of_parts("llvm.copysign", self.over(less, less + self.number(2.0)), number)

    def exp(self, number: Num) -> Num:
        """Return e^x."""
        most = self.number(_MOST[self.fmt.double])
        infinite = self.select(self.is_(">", number, most), self.number(math.inf), self._power(number))
        return self.select(self.is_("<", number, self.negative(most)), self.zero, infinite)

    def expm1(self, number: Num) -> Num:
        """Return e^x - 1."""
        scale, rest = self._exponential(self._within(number))
        less = self.minus(scale, self.one).plus(scale, rest)
        return self.select(self.is_(">", number, self.number(_MOST[self.fmt.double])), self.number(math.inf), less)

    def softplus(self, number: Num) -> Num:
        """Return log(1 + e^x) = max(x, 0) + log(1 + u), u = e^-|x|."""
        u = self._power(self.negative(self._of_parts("llvm.fabs", number)))
        # log(1 + u) = 2 artanh(u / (2 + u)) of at most 1/3
        s = self.over(u, self.number(2.0) + u)
        odd = [self.number(2 / (2 * k + 1)) for k in range(_ARTANH[self.fmt.double])]
        positive = self.select(self.is_("<", number, self.zero), self.zero, number)
        return positive.plus(s, self._polynomial(s * s, odd))

    def sqrt(self, number: Num) -> Num:
        return self._of_parts("llvm.sqrt", number)

    def _within(self, number: Num) -> Num:
        """Return what is asked of an exponential; NaN stays so."""
        most = self.number(_MOST[self.fmt.double])
        least = self.negative(most)
        number = self.at_most(number, most)
        return self.select(self.is_("<", number, least), least, number)

    def _power(self, number: Num) -> Num:
        """Return e^x of x within what numbers can hold."""
        scale, rest = self._exponential(self._within(number))
        return scale.plus(scale, rest)

    def _exponential(self, number: Num) -> tuple[Num, Num]:
        """Return 2^n and e^r - 1, so that e^x is 2^n·(1 + (e^r - 1))."""
        double, b = self.fmt.double, self.b
        magic = self.number(_ROUND[double])
        shifted = magic.plus(number, self.number(1.4426950408889634))
        whole = self.minus(shifted, magic)
        high, low = _LOG2[double]
        r = number.plus(whole, self.number(-high)).plus(whole, self.number(-low))
        integer, bits, bias = (I64, 52, 1023) if double else (I32, 23, 127)
        kind = ir.VectorType(integer, self.fmt.width)
        exponent = b.shl(b.bitcast(shifted.parts[0], kind), self._integers(kind, bits))
        scale = b.bitcast(b.add(exponent, self._integers(kind, bias << bits)), self.fmt.vector)
        coefficients = [self.number(1 / factorial(k)) for k in range(2, _DEGREE[double] + 1)]
        return Num(self.f, [scale]), r.plus(r * r, self._polynomial(r, coefficients))

    def _polynomial(self, x: Num, coefficients: list[Num]) -> Num:
        """Add up pairs, then pairs of pairs: few multiply-adds wait for each other."""
        while len(coefficients) > 1:
            pairs = [
                low.plus(x, coefficients[index + 1]) if index + 1 < len(coefficients) else low
                for index, low in enumerate(coefficients)
                if not index % 2
            ]
            coefficients, x = pairs, x * x
        return coefficients[0]

    def _integers(self, kind: Any, value: int) -> Any:
        return ir.Constant(kind, [value] * self.fmt.width)

    def _of_parts(self, name: str, *numbers: Num) -> Num:
        vectors = [number.parts[0] for number in numbers]
        kind = f"v{self.fmt.width}f{64 if self.fmt.double else 32}"
        return Num(self.f, [self.f.intrinsic(f"{name}.{kind}", vectors[0].type, vectors)])


def activate(functions: Functions, activation: str, number: Num) -> Num:
    """Return an activation of a number."""
    if activation == "relu":
        return functions.select(functions.is_("<", number, functions.zero), functions.zero, number)
    if activation == "tanh":
        return functions.tanh(number)
    return functions.sigmoid(number) if activation == "sigmoid" else number


def through(functions: Functions, activation: str, value: Num, gradient: Num) -> Num:
    """Return the gradient of a number whose activation has a value and a gradient."""
    if activation == "relu":
        # a value that is NaN lets it through, as it does in torch
        return functions.select(functions.is_("<=", value, functions.zero), functions.zero, gradient)
    if activation == "tanh":
        return gradient * functions.one.plus(functions.negative(value), value)
    if activation == "sigmoid":
        return gradient * (value * functions.minus(functions.one, value))
    return gradient
