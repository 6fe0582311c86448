"""What a case must give: values and gradients in float64, and how far rounding may move each of them.

The reference is asked in its plainest form only: batch, channels, time; one set of coefficients for every sample;
dense input; time that runs forward. Layouts, broadcasting, shared inputs and reversed time are undone here, by
other code than the library's.

The bound follows the rounding errors through the problem. One sample errs by at most u · m[s], with u the unit
roundoff and m[s] the sum of magnitudes that make it; the filter passes that on to y[t] by its response h[t, s]:

    |error of y[t]| ≤ n · u · Σ_s |h[t, s]| · m[s]

and likewise for the adjoint and for the sums that make the gradients of coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from ..backend import Operands, Problem, Taps
from ..reference import kernel
from .problems import Arguments, Case, Wide, arguments, flat, from_canonical, taps_to_user, to_canonical

__all__ = ["Expected", "expected"]

SLACK = 4.0
"""Rounding errors that kernels may make for each that the bound counts: other orders of sums, blocks, complex products."""
_ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
_ROUNDOFF |= {"complex64": 2.0**-24, "complex128": 2.0**-53}
_LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}
_LEAST |= {"complex64": 2.0**-149, "complex128": 2.0**-1074}


@dataclass(frozen=True)
class Expected:
    """Values and gradients of a case by name (``"y"``, ``"state.inputs"``, ``"gradient of x"``, …), in the user's axes.

    `bounds` has the largest error that rounding explains, for each of their elements.
    """

    values: dict[str, Wide]
    bounds: dict[str, Wide]


@lru_cache(maxsize=4096)
def expected(case: Case) -> Expected:
    """Return what `case` must give; remembered, since every backend is asked the same.

    Example
    -------
    >>> expected(Case(batch=(), channels=1, length=4)).values["y"].shape
    (1, 4)
    """
    return _Run(case, arguments(case)).result()


class _Run:
    """A case in canonical form: signals (B, C, T) that run forward, coefficients (B, C, T, taps)."""

    def __init__(self, case: Case, given: Arguments) -> None:
        self.case = case
        self.batch, self.channels, self.length, self.p, self.q = flat(case), case.y_channels, case.length, case.p, case.q
        self.dtype: Any = np.complex128 if case.y_dtype.startswith("complex") else np.float64
        size = (self.batch, self.channels)
        self.x = self._signal(given.x)
        self.b = self._taps("feedforward", given.feedforward)
        self.a = self._taps("feedback", given.feedback)
        self.past_x = np.zeros((*size, self.q), self.dtype) if given.inputs is None else self._signal(given.inputs)
        self.past_y = np.zeros((*size, self.p), self.dtype) if given.outputs is None else self._signal(given.outputs)
        problem = self._problem()
        operands = Operands(self.x, self.b, self.a, self.past_x, self.past_y)
        self.y = kernel.wide_forward(problem, operands)
        self.all_x = np.concatenate([self.past_x, self.x], -1)
        self.all_y = np.concatenate([self.past_y, self.y], -1)
        self._gradients(problem, operands, given)

    def _gradients(self, problem: Problem, operands: Operands, given: Arguments) -> None:
        tail_x, tail_y = np.zeros_like(self.all_x), np.zeros_like(self.all_y)
        if given.grad_inputs is not None and self.q:
            # a shared input's state has one channel: its gradient arrives once, not once a channel
            part = self._signal(given.grad_inputs)
            tail_x[:, : 1 if self.case.x_channels == 1 else None, -self.q :] = part[:, : 1 if self.case.x_channels == 1 else None]
        if given.grad_outputs is not None and self.p:
            tail_y[..., -self.p :] = self._signal(given.grad_outputs)
        grad_y = tail_y[..., self.p :] + (0 if given.grad_y is None else self._signal(given.grad_y))
        found = kernel.wide_vjp(problem, operands, grad_y)
        self.grad_y = grad_y
        self.tail_x, self.tail_y = tail_x, tail_y
        self.grad_b, self.grad_a = found.feedforward, found.feedback
        self.grad_x = np.concatenate([found.inputs, found.x], -1) + tail_x
        self.grad_past_y = found.outputs + tail_y[..., : self.p]

    def result(self) -> Expected:
        values = {
            "y": self._out(self.y),
            "state.inputs": self._out(self._own(self.all_x[..., self.length :], "first")),
            "state.outputs": self._out(self.all_y[..., self.length :]),
            "gradient of x": self._real(self._out(self._own(self.grad_x[..., self.q :], "sum")), self.case.dtype),
        }
        if self.case.feedforward != "none":
            values["gradient of feedforward"] = self._taps_out("feedforward", self.grad_b)
        if self.case.feedback != "none":
            values["gradient of feedback"] = self._taps_out("feedback", self.grad_a)
        if self.case.state in ("inputs", "both"):
            past = self._own(self.grad_x[..., : self.q], "sum")
            values["gradient of state.inputs"] = self._real(self._out(past), self.case.dtype)
        if self.case.state in ("outputs", "both"):
            values["gradient of state.outputs"] = self._out(self.grad_past_y)
        return Expected(values, self._bounds(values))

    def _bounds(self, values: dict[str, Wide]) -> dict[str, Wide]:
        """Return Σ |h| m in place of every value, scaled by the roundoff of what computes and of what stores it."""
        case, p, q, length = self.case, self.p, self.q, self.length
        size = (self.batch, self.channels)
        b = np.ones((*size, length, 1)) if self.b is None else np.abs(self.b)
        a = np.zeros((*size, length, 0)) if self.a is None else np.abs(self.a)
        response = np.abs(self._response())
        response_of = response.swapaxes(-1, -2)
        adjoint = np.abs(self._adjoint())
        all_x, all_y = np.abs(self.all_x), np.abs(self.all_y)
        lags = [slice(q - j, q - j + length) for j in range(q + 1)]
        made = sum(b[..., j] * all_x[..., lag] for j, lag in enumerate(lags))
        made = made + sum(a[..., k - 1] * all_y[..., p - k : p - k + length] for k in range(1, p + 1))
        error_y = (response @ made[..., None])[..., 0]
        reach = np.zeros((*size, p + length))
        for k in range(1, p + 1):
            reach[..., p - k : p - k + length] += a[..., k - 1] * adjoint
        error_adjoint = (response_of @ (np.abs(self.grad_y) + reach[..., p:])[..., None])[..., 0]
        off = error_adjoint + adjoint
        error_x = np.abs(self.tail_x)
        for j, lag in enumerate(lags):
            error_x[..., lag] += b[..., j] * off
        error_past = np.abs(self.tail_y[..., :p])
        for k in range(1, p + 1):
            error_past += (a[..., k - 1] * off)[..., :k].sum(-1)[..., None] if False else 0
        spread = np.zeros((*size, p + length))
        for k in range(1, p + 1):
            spread[..., p - k : p - k + length] += a[..., k - 1] * off
        error_past = error_past + spread[..., :p]
        # gradients of coefficients are made of the y that is kept, which half types round
        kept = self._roundoff(case.y_dtype) / self._computing() * np.abs(self.y) / self._count()
        error_all_y = np.concatenate([np.zeros((*size, p)), error_y + kept], -1)
        error_b = np.stack([off * all_x[..., lag] for lag in lags], -1)
        error_a = np.zeros((*size, length, 0))
        if p:
            error_a = np.stack(
                [
                    off * all_y[..., p - k : p - k + length] + adjoint * error_all_y[..., p - k : p - k + length]
                    for k in range(1, p + 1)
                ],
                -1,
            )
        raw = {
            "y": self._out(error_y),
            "state.inputs": np.zeros(values["state.inputs"].shape),
            "state.outputs": self._out(np.concatenate([np.zeros((*size, p)), error_y], -1)[..., length:]),
            "gradient of x": self._out(self._own(error_x[..., q:], "sum")),
            "gradient of feedforward": self._taps_out("feedforward", error_b) if self.b is not None else None,
            "gradient of feedback": self._taps_out("feedback", error_a) if self.a is not None else None,
            "gradient of state.inputs": self._out(self._own(error_x[..., :q], "sum")),
            "gradient of state.outputs": self._out(error_past),
        }
        return {name: self._scaled(name, raw[name], value) for name, value in values.items()}

    def _scaled(self, name: str, bound: Any, value: Wide) -> Wide:
        stored = {
            "gradient of x": self.case.dtype,
            "gradient of state.inputs": self.case.dtype,
            "gradient of feedforward": self.case.taps_dtype("feedforward"),
            "gradient of feedback": self.case.taps_dtype("feedback"),
        }.get(name, self.case.y_dtype)
        if name == "state.inputs":
            return np.zeros(value.shape)
        # rounded once where it is stored, twice where a state's gradient is added to what is stored
        total = SLACK * self._count() * self._computing() * bound
        return np.asarray(total + 2 * self._roundoff(stored) * np.abs(value) + 2 * _LEAST[stored])

    def _count(self) -> int:
        return self.p + self.q + 2

    def _computing(self) -> float:
        return _ROUNDOFF["float64" if self.case.y_dtype in ("float64", "complex128") else "float32"]

    @staticmethod
    def _roundoff(dtype: str) -> float:
        return _ROUNDOFF[dtype]

    def _response(self) -> Wide:
        """Return h[t, s] (B, C, T, T): how sample s of Σ feedforward · x moves y[t]."""
        response = np.zeros((self.batch, self.channels, self.length, self.length), self.dtype)
        for t in range(self.length):
            response[:, :, t, t] = 1
            for k in range(1, min(self.p, t) + 1):
                response[:, :, t] += self.a[:, :, t, k - 1, None] * response[:, :, t - k]  # type: ignore[index]
        return response

    def _adjoint(self) -> Wide:
        """Return the gradient of Σ feedforward · x (B, C, T)."""
        adjoint: Wide = (self._response().conj().swapaxes(-1, -2) @ self.grad_y[..., None])[..., 0]
        return adjoint

    def _problem(self) -> Problem:
        dtype = np.dtype(self.dtype).name
        size = (self.batch, self.channels, self.length)
        b = None if self.b is None else Taps(*size, self.q + 1, dtype)
        a = None if self.a is None else Taps(*size, self.p, dtype)
        return Problem("numpy", "cpu", dtype, dtype, "BCT", False, *size, self.channels, b, a)

    def _signal(self, array: Wide) -> Wide:
        array = to_canonical(array, self.case.layout)
        array = np.broadcast_to(array, (*array.shape[:-2], self.channels, array.shape[-1]))
        array = array.reshape((self.batch, *array.shape[-2:])).astype(self.dtype)
        return array[..., ::-1] if self.case.reverse else array

    def _taps(self, name: Literal["feedforward", "feedback"], array: Wide | None) -> Wide | None:
        if array is None:
            return None
        case, count = self.case, array.shape[-1]
        kind = getattr(case, name)
        if kind == "time_varying":
            array = to_canonical(array, case.layout, taps=True)
        else:
            array = array[..., None, :]
        from .problems import round_to

        array = round_to(array, case.computed_dtype(name))
        full = np.broadcast_to(array, (*case.batch, self.channels, self.length, count))
        full = full.reshape((self.batch, self.channels, self.length, count)).astype(self.dtype)
        return full[:, :, ::-1] if case.reverse else full

    def _out(self, array: Wide) -> Wide:
        array = array[..., ::-1] if self.case.reverse else array
        return from_canonical(array.reshape((*self.case.batch, *array.shape[1:])), self.case.layout)

    def _own(self, array: Wide, how: Literal["sum", "first"]) -> Wide:
        """Return a signal of the input with the input's own channels."""
        if self.case.x_channels == self.channels:
            return array
        return array.sum(1, keepdims=True) if how == "sum" else array[:, :1]

    def _taps_out(self, name: Literal["feedforward", "feedback"], array: Any) -> Wide:
        array = array[:, :, ::-1] if self.case.reverse else array
        array = array.reshape((*self.case.batch, *array.shape[1:]))
        for axis, own in enumerate(self.case.taps_shape(name)):
            if own == 1:
                array = array.sum(axis=axis, keepdims=True)
        return self._real(taps_to_user(self.case, name, array), self.case.taps_dtype(name))

    @staticmethod
    def _real(array: Wide, dtype: str) -> Wide:
        return array if dtype.startswith("complex") else array.real
