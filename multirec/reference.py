"""The oracle: the recurrence and its gradient in NumPy float64, one sample at a time, written to be read.

Everything else is compared with this module. It has no blocks, no scans and no tricks: `forward` is the
equation, and `vjp` walks the same loop backwards and gives every term's derivative to its factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .backend import (
    COMPLEX_DTYPES,
    HALF_DTYPES,
    REAL_DTYPES,
    Allocate,
    BackendInfo,
    Gradients,
    Needs,
    Operands,
    Problem,
)

__all__ = ["info", "kernel"]

Wide = npt.NDArray[Any]
"""A float64 or complex128 array."""

info = BackendInfo(
    name="reference",
    summary="NumPy float64, one sample at a time: slow, and what every other backend is compared with",
    kernel="multirec.reference:kernel",
    family="numpy",
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    promise="bitwise",
)


def widen(array: Wide, dtype: str) -> Wide:
    """Return `array` as float64 or complex128; bfloat16 comes as its bits in uint16."""
    if dtype == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.complex128 if dtype in COMPLEX_DTYPES else np.float64)


def narrow(array: Wide, dtype: str) -> Wide:
    """Round a float64 or complex128 array to `dtype`; bfloat16 is returned as its bits in uint16."""
    if dtype != "bfloat16":
        return array.astype(dtype)
    bits = array.astype(np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded)


class Reference:
    """The reference kernel. `wide_forward` and `wide_vjp` give the unrounded float64 results."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Wide:
        y = allocate(problem.channels, problem.y_dtype)
        with np.errstate(over="ignore"):
            y[...] = narrow(self.wide_forward(problem, operands), problem.y_dtype)
        return cast(Wide, y)

    def vjp(
        self,
        problem: Problem,
        operands: Operands,
        y: Wide,
        grad_y: Wide,
        grad_last: Wide | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        wide = self.wide_vjp(problem, operands, grad_y, grad_last)
        return Gradients(*(g if need else None for g, need in zip(_rounded(problem, wide), needs, strict=True)))

    def wide_forward(self, problem: Problem, operands: Operands) -> Wide:
        """Return y (B, C, T) in float64 or complex128."""
        return _Run(problem, operands).y

    def wide_vjp(self, problem: Problem, operands: Operands, grad_y: Wide, grad_last: Wide | None = None) -> Gradients:
        """Return every gradient in float64 or complex128, with the operands' shapes."""
        return _Run(problem, operands).adjoint(
            widen(grad_y, problem.y_dtype), None if grad_last is None else widen(grad_last, problem.y_dtype)
        )


class _Run:
    """One problem in float64. Signals are `past + block`, ascending in the running order."""

    def __init__(self, problem: Problem, operands: Operands) -> None:
        p, q, size = problem.order, problem.input_order, problem
        self.problem, self.p, self.q = problem, p, q
        self.dtype: Any = np.complex128 if problem.is_complex else np.float64
        self.b = self._coefficients(operands.feedforward, size.feedforward.dtype if size.feedforward else "float64")
        self.a = self._coefficients(operands.feedback, size.feedback.dtype if size.feedback else "float64")
        x = self._in_order(widen(operands.x, problem.dtype))
        past_x = self._past(operands.inputs, (size.batch, size.x_channels, q), problem.dtype)
        past_y = self._past(operands.outputs, (size.batch, size.channels, p), problem.y_dtype)
        self.x = np.concatenate([past_x, x], axis=-1)
        self.y_all = np.zeros((size.batch, size.channels, p + size.length), self.dtype)
        self.y_all[..., :p] = past_y
        with np.errstate(all="ignore"):
            for t, b, a in self._steps():
                value = self._shared(self.x[..., t + q]) if b is None else 0.0
                for j in range(0 if b is None else q + 1):
                    value = value + cast(Wide, b)[..., j] * self.x[..., t + q - j]
                for k in range(p):
                    value = value + cast(Wide, a)[..., k] * self.y_all[..., t + p - 1 - k]
                self.y_all[..., t + p] = value

    @property
    def y(self) -> Wide:
        return self._in_order(self.y_all[..., self.p :])

    def adjoint(self, grad_y: Wide, grad_last: Wide | None) -> Gradients:
        p, q, size = self.p, self.q, self.problem
        gx = np.zeros(self.x.shape, self.dtype)
        gy = np.zeros(self.y_all.shape, self.dtype)
        gy[..., p:] = self._in_order(grad_y)
        if grad_last is not None and grad_last.shape[-1]:
            gy[..., -grad_last.shape[-1] :] += self._in_order(grad_last)
        gb = None if self.b is None else np.zeros(self.b.shape, self.dtype)
        ga = None if self.a is None else np.zeros(self.a.shape, self.dtype)
        with np.errstate(all="ignore"):
            for t, b, a in reversed(list(self._steps())):
                g = gy[..., t + p]
                if b is None:
                    gx[..., t + q] += _sum_to(g, gx.shape[:2])
                for j in range(0 if b is None else q + 1):
                    x = self.x[..., t + q - j]
                    gx[..., t + q - j] += _sum_to(np.conj(cast(Wide, b)[..., j]) * g, gx.shape[:2])
                    self._at(cast(Wide, gb), t)[..., j] += _sum_to(np.conj(x) * g, cast(Wide, gb).shape[:2])
                for k in range(p):
                    y = self.y_all[..., t + p - 1 - k]
                    gy[..., t + p - 1 - k] += np.conj(cast(Wide, a)[..., k]) * g
                    self._at(cast(Wide, ga), t)[..., k] += _sum_to(np.conj(y) * g, cast(Wide, ga).shape[:2])
        return Gradients(
            x=self._as(size.dtype, self._in_order(gx[..., q:])),
            feedforward=None
            if gb is None or size.feedforward is None
            else self._as(size.feedforward.dtype, self._coefficients(gb)),
            feedback=None
            if ga is None or size.feedback is None
            else self._as(size.feedback.dtype, self._coefficients(ga)),
            inputs=self._as(size.dtype, self._in_order(gx[..., :q])),
            outputs=self._in_order(gy[..., :p]),
        )

    def _steps(self) -> Iterator[tuple[int, Wide | None, Wide | None]]:
        for t in range(self.problem.length):
            yield t, None if self.b is None else self._at(self.b, t), None if self.a is None else self._at(self.a, t)

    @staticmethod
    def _at(coefficients: Wide, t: int) -> Wide:
        return coefficients[:, :, t if coefficients.shape[2] > 1 else 0]

    def _in_order(self, signal: Wide) -> Wide:
        return signal[..., ::-1] if self.problem.reverse else signal

    def _coefficients(self, array: Wide | None, dtype: str = "complex128") -> Wide | None:
        if array is None:
            return None
        wide = array if dtype == "complex128" and array.dtype == self.dtype else widen(array, dtype)
        return wide[:, :, ::-1] if self.problem.reverse else wide

    def _past(self, state: Wide | None, shape: tuple[int, ...], dtype: str) -> Wide:
        return np.zeros(shape) if state is None else self._in_order(widen(state, dtype))

    def _shared(self, x: Wide) -> Wide:
        return np.broadcast_to(x, (self.problem.batch, self.problem.channels))

    @staticmethod
    def _as(dtype: str, gradient: Wide | None) -> Any:
        if gradient is None or dtype in COMPLEX_DTYPES:
            return gradient
        return gradient.real


def _sum_to(array: Wide, shape: tuple[int, ...]) -> Wide:
    for axis, size in enumerate(shape):
        if size == 1 and array.shape[axis] != 1:
            array = array.sum(axis=axis, keepdims=True)
    return array


def _rounded(problem: Problem, wide: Gradients) -> Gradients:
    return wide._replace(x=narrow(cast(Wide, wide.x), problem.dtype), outputs=wide.outputs)


kernel = Reference()
