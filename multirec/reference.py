"""The oracle: the recurrence and its gradient in NumPy float64, one sample at a time, written to be read.

Everything else is compared with this module. It has no blocks, no scans and no tricks: `forward` is the
equation, and `vjp` walks the same loop backwards and gives every term's derivative to its factors. What depends on no
earlier y, or on no later gradient, is computed for every sample at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ._core.stepping_adjoint import adjoint_of_steps
from .backend import (
    COMPLEX_DTYPES,
    HALF_DTYPES,
    REAL_DTYPES,
    Activated,
    ActivatedGradients,
    ActivatedNeeds,
    ActivatedOperands,
    Allocate,
    BackendInfo,
    Gradients,
    Needs,
    Operands,
    Problem,
    Taps,
    from_bfloat16,
    step_through,
    to_bfloat16,
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
    wide=True,
    promise="bitwise",
)


def widen(array: Wide, dtype: str) -> Wide:
    """Return `array` as float64 or complex128; bfloat16 comes as its bits in uint16."""
    if dtype == "bfloat16":
        array = from_bfloat16(array)
    return array.astype(np.complex128 if dtype in COMPLEX_DTYPES else np.float64)


def narrow(array: Wide, dtype: str) -> Wide:
    """Round a float64 or complex128 array to `dtype`; bfloat16 is returned as its bits in uint16."""
    with np.errstate(all="ignore"):
        return to_bfloat16(array) if dtype == "bfloat16" else array.astype(dtype)


_LARGEST = {"float32": 3.4028234663852886e38, "float64": np.inf}


class Reference:
    """The reference kernel. `wide_forward` and `wide_vjp` give the unrounded float64 results."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Wide | tuple[Wide, Wide]:
        y = cast(Wide, allocate(problem.channels, problem.y_dtype))
        wide = _once_lost(self.wide_forward(problem, operands), problem)
        y[...] = narrow(wide, problem.y_dtype)
        if problem.state_dtype == problem.y_dtype:
            return y
        first = 0 if problem.reverse else max(problem.length - problem.order, 0)
        return y, narrow(wide[..., first : first + problem.order], problem.state_dtype)

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
        wide = _Run(problem, operands, widen(y, problem.y_dtype)).adjoint(*_wide_gradients(problem, grad_y, grad_last))
        rounded = wide._replace(x=narrow(cast(Wide, wide.x), problem.dtype))
        return Gradients(*(grad if need else None for grad, need in zip(rounded, needs, strict=True)))

    def activates(self, problem: Activated) -> str:
        return ""

    def forward_activated(self, problem: Activated, operands: ActivatedOperands, y: Wide, starts: Wide | None) -> Wide:
        with np.errstate(all="ignore"):
            found, state = step_through(*_widened(problem, operands))
        y[...] = narrow(found, problem.dtype)
        return narrow(state, problem.compute_dtype)

    def vjp_activated(
        self,
        problem: Activated,
        operands: ActivatedOperands,
        starts: Wide,
        grad_y: Wide,
        grad_state: Wide | None,
        targets: tuple[Wide | None, ...],
        needs: ActivatedNeeds,
    ) -> ActivatedGradients:
        last = None if grad_state is None else grad_state.astype(np.float64)
        with np.errstate(all="ignore"):
            signals, parameters, state = adjoint_of_steps(
                *_widened(problem, operands), widen(grad_y, problem.dtype), last
            )
        for target, gradient, dtype in zip(targets, signals, problem.dtypes, strict=True):
            if target is not None:
                target[...] = narrow(gradient, dtype)
        return ActivatedGradients(tuple(parameters), state)

    def wide_forward(self, problem: Problem, operands: Operands) -> Wide:
        """Return y (B, C, T) in float64 or complex128."""
        return _Run(problem, operands).y

    def wide_vjp(self, problem: Problem, operands: Operands, grad_y: Wide, grad_last: Wide | None = None) -> Gradients:
        """Return every gradient in float64 or complex128, with the operands' shapes."""
        return _Run(problem, operands).adjoint(*_wide_gradients(problem, grad_y, grad_last))


def _widened(problem: Activated, operands: ActivatedOperands) -> tuple[Activated, ActivatedOperands]:
    """Return a problem and its operands in float64."""
    signals, parameters, state, numbers = operands
    wide = tuple(widen(signal, dtype) for signal, dtype in zip(signals, problem.dtypes, strict=True))
    own = None if state is None else state.astype(np.float64)
    parameters = tuple(parameter.astype(np.float64) for parameter in parameters)
    return replace(problem, compute_dtype="float64"), ActivatedOperands(wide, parameters, own, numbers)


def _wide_gradients(problem: Problem, grad_y: Wide, grad_last: Wide | None) -> tuple[Wide, Wide | None]:
    return widen(grad_y, problem.y_dtype), None if grad_last is None else widen(grad_last, problem.state_dtype)


def _once_lost(y: Wide, problem: Problem) -> Wide:
    """Return y with NaN after what its precision has no number for: float64 could bring it back, a kernel not."""
    with np.errstate(all="ignore"):
        lost = np.abs(y) > _LARGEST[problem.compute_dtype]
    if not lost.any():
        return y
    step = -1 if problem.reverse else 1
    after = np.logical_or.accumulate(lost[..., ::step], axis=-1)[..., ::step]
    return np.where(after & ~lost, np.nan, y)


class _Run:
    """One problem in float64. Signals are past and block along one time axis, ascending in the running order.

    y is computed unless it is given.
    """

    def __init__(self, problem: Problem, operands: Operands, y: Wide | None = None) -> None:
        p, q = problem.order, problem.input_order
        self.problem, self.p, self.q = problem, p, q
        self.dtype: Any = np.complex128 if problem.is_complex else np.float64
        self.b = self._taps(operands.feedforward)
        self.a = self._taps(operands.feedback)
        past_x = self._past(operands.inputs, (problem.batch, problem.x_channels, q), problem.dtype)
        past_y = self._past(operands.outputs, (problem.batch, problem.channels, p), problem.state_dtype)
        self.x = np.concatenate([past_x, self._in_order(widen(operands.x, problem.dtype))], axis=-1)
        self.y_all = np.zeros((problem.batch, problem.channels, p + problem.length), self.dtype)
        self.y_all[..., :p] = past_y
        if y is not None:
            self.y_all[..., p:] = self._in_order(y)
            return
        with np.errstate(all="ignore"):
            self.y_all[..., p:] = self._fed_forward()
            if self.a is not None:
                for t in range(problem.length):
                    self.y_all[..., t + p] += (_at(self.a, t) * self.y_all[..., t : t + p][..., ::-1]).sum(-1)

    @property
    def y(self) -> Wide:
        return self._in_order(self.y_all[..., self.p :])

    def _fed_forward(self) -> Wide:
        """Return what x gives at every t (B, C, T)."""
        if self.b is None:
            return self.x
        return np.asarray(sum(self.b[..., j] * self._earlier(self.x, j) for j in range(self.q + 1)))

    def _earlier(self, x: Wide, j: int) -> Wide:
        """Return x[t − j] of every t; a view."""
        return x[..., self.q - j : self.q - j + self.problem.length]

    def adjoint(self, grad_y: Wide, grad_last: Wide | None) -> Gradients:
        p, q, problem = self.p, self.q, self.problem
        gx = np.zeros(self.x.shape, self.dtype)
        gy = np.zeros(self.y_all.shape, self.dtype)
        gy[..., p:] = self._in_order(grad_y)
        if grad_last is not None and grad_last.shape[-1]:
            gy[..., -grad_last.shape[-1] :] += self._in_order(grad_last)
        gb = None if self.b is None else np.zeros(self.b.shape, self.dtype)
        ga = None if self.a is None else np.zeros(self.a.shape, self.dtype)
        with np.errstate(all="ignore"):
            if self.a is not None:
                a = np.conj(self.a)
                for t in reversed(range(problem.length)):
                    gy[..., t : t + p][..., ::-1] += _at(a, t) * gy[..., t + p, None]
            # the gradient of every y is known, and each term of y's sum gives it to its two factors
            g = gy[..., p:]
            if self.b is None or gb is None:
                gx += _sum_to(g, gx.shape[:2])
            else:
                for j in range(q + 1):
                    self._earlier(gx, j)[...] += _sum_to(np.conj(self.b[..., j]) * g, gx.shape[:2])
                    gb[..., j] = _sum_to(np.conj(self._earlier(self.x, j)) * g, gb.shape[:3])
            if ga is not None:
                for k in range(1, p + 1):
                    earlier = self.y_all[..., p - k : p - k + problem.length]
                    ga[..., k - 1] = _sum_to(np.conj(earlier) * g, ga.shape[:3])
        return Gradients(
            x=_like(problem.dtype, self._in_order(gx[..., q:])),
            feedforward=None if gb is None else _like(_dtype(problem.feedforward), self._in_time(gb)),
            feedback=None if ga is None else _like(_dtype(problem.feedback), self._in_time(ga)),
            inputs=_like(problem.dtype, self._in_order(gx[..., :q])),
            outputs=self._in_order(gy[..., :p]),
        )

    def _in_order(self, signal: Wide) -> Wide:
        return signal[..., ::-1] if self.problem.reverse else signal

    def _in_time(self, taps: Wide) -> Wide:
        return taps[:, :, ::-1] if self.problem.reverse else taps

    def _taps(self, taps: Wide | None) -> Wide | None:
        return None if taps is None else self._in_time(widen(taps, str(taps.dtype)))

    def _past(self, state: Wide | None, shape: tuple[int, ...], dtype: str) -> Wide:
        return np.zeros(shape) if state is None else self._in_order(widen(state, dtype))


def _at(taps: Wide, t: int) -> Wide:
    return taps[:, :, t if taps.shape[2] > 1 else 0]


def _dtype(taps: Taps | None) -> str:
    return "float64" if taps is None else taps.dtype


def _like(dtype: str, gradient: Wide) -> Wide:
    """Return the gradient of an operand of `dtype`: the real part where it is real."""
    return gradient if dtype in COMPLEX_DTYPES else gradient.real


def _sum_to(array: Wide, shape: tuple[int, ...]) -> Wide:
    for axis, size in enumerate(shape):
        if size == 1 and array.shape[axis] != 1:
            array = array.sum(axis=axis, keepdims=True)
    return array


kernel = Reference()
