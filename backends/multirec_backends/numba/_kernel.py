"""The backend's kernel object: canonical NumPy views in, machine code called, gradients gathered."""

from __future__ import annotations

import struct
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from multirec.backend import Allocate, Gradients, Needs, Operands, Problem, Taps, address, num_threads, to_bfloat16

from . import _fir as fir
from . import _segments as segments
from ._headers import headers
from ._plan import Plan, plan, scratch
from ._pool import run
from ._spec import ARGUMENTS

Signal = npt.NDArray[Any]
_NO_GRADIENTS, _NO_EXTRA = (None,) * 5, (0, 0, 0)
_SUMS = {"float32": np.dtype("float64"), "complex64": np.dtype("complex128")}
_SUMS |= {str(wide): wide for wide in _SUMS.values()}
_CALL = struct.Struct(f"{len(ARGUMENTS)}q")


class Kernel:
    """Forward and gradient in machine code, for any strides."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Signal | tuple[Signal, Signal]:
        if fir.worthwhile(problem):
            return fir.forward(problem, operands, allocate, _call, self)
        y: Signal = allocate(problem.channels, problem.y_dtype)
        planned = plan(problem)
        ends: Signal | None = np.empty(planned.ends, problem.state_dtype) if planned.ends else None
        if y.size and not (planned.segmented and segments.forward(problem, operands, y, ends, run_forward)):
            run_forward(problem, operands, y, ends)
        if ends is None:
            return y
        # what is older than the block is the caller's state
        older = max(problem.order - problem.length, 0)
        return y, ends[..., : problem.order - older] if problem.reverse else ends[..., older:]

    def in_place(self, problem: Problem) -> bool:
        # long filters look back, and segments run twice over x
        return not (fir.worthwhile(problem) or plan(problem).segmented)

    def vjp(
        self,
        problem: Problem,
        operands: Operands,
        y: Signal,
        grad_y: Signal,
        grad_last: Signal | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        to_x = allocate(problem.x_channels, problem.dtype) if needs.x else None
        last = grad_last if grad_last is not None and grad_last.size else None
        if fir.worthwhile(problem):
            return fir.vjp(problem, operands, y, grad_y, last, needs, to_x, _call, run_vjp)
        if plan(problem).segmented and not problem.shared:
            found = segments.vjp(problem, operands, y, grad_y, last, needs, to_x, run_vjp)
            if found is not None:
                return found
        return run_vjp(problem, operands, y, grad_y, last, needs, to_x)


def run_forward(problem: Problem, operands: Operands, y: Signal | None, ends: Signal | None) -> None:
    """Fill y (B, C, T) and `ends` (B, C, p), the last outputs in the precision computed in; either may be None."""
    x, feedforward, feedback, inputs, outputs = operands
    given = (x, y, inputs, outputs, ends, *_NO_GRADIENTS, feedforward, feedback, None, None)
    _call(plan(problem), _NO_EXTRA, given, None)


def run_vjp(
    problem: Problem,
    operands: Operands,
    y: Signal,
    grad_y: Signal,
    last: Signal | None,
    needs: Needs,
    to_x: Signal | None,
) -> Gradients:
    """Return the gradients wanted; the gradient of x goes to `to_x`."""
    flip, batch, channels = problem.reverse, problem.batch, problem.channels
    x, feedforward, feedback, inputs, outputs = operands
    planned = plan(problem, needs)
    spec, p, q = planned.spec, problem.order, problem.input_order
    # one row of sums for every (example, channel); broadcast axes are summed afterwards, in a fixed order
    to_b = _sums_like(problem, problem.feedforward, spec.compute) if needs.feedforward else None
    to_a = _sums_like(problem, problem.feedback, spec.compute) if needs.feedback else None
    to_inputs = np.zeros((batch, channels, q), spec.compute_x) if needs.inputs else None
    to_outputs = np.zeros((batch, channels, p), spec.compute) if needs.outputs else None
    shared = np.empty((planned.slices, batch, planned.padded), spec.compute) if needs.x and problem.shared else None
    if grad_y.size:
        extra = (
            0 if last is None else last.shape[2],
            0 if shared is None else address(shared),
            0 if shared is None else shared.strides[1],
        )
        given = (
            *(x, y, inputs, outputs, None, grad_y, last, to_x if shared is None else None, to_inputs, to_outputs),
            *(feedforward, feedback, to_b, to_a),
        )
        _call(planned, extra, given, shared)
        if shared is not None:
            total = _summed(shared[..., : problem.length], (0,))[0][:, None]
            _assign(to_x, total[..., ::-1] if flip else total, problem.dtype)
    return Gradients(
        to_x,
        None if to_b is None else _fit(to_b, problem.feedforward),
        None if to_a is None else _fit(to_a, problem.feedback),
        _summed(to_inputs, (1,)) if to_inputs is not None and problem.shared else to_inputs,
        to_outputs,
    )


def _sums_like(problem: Problem, taps: Taps | None, compute: str) -> Signal:
    """Return memory for a gradient of coefficients before axes of length 1 are summed."""
    assert taps is not None
    batch, channels = problem.batch, problem.channels
    if taps.time <= 1:
        return np.zeros((batch, channels, taps.time, taps.taps), _SUMS[compute])
    # as y lies in memory, tap by tap, so that a tap is written like a signal
    length, count = problem.length, taps.taps
    if problem.layout == "BCT":
        return np.empty((batch, channels, count, length), compute).transpose(0, 1, 3, 2)
    if problem.layout == "BTC":
        return np.empty((batch, length, count, channels), compute).transpose(0, 3, 1, 2)
    return np.empty((length, batch, count, channels), compute).transpose(1, 3, 0, 2)


def _fit(sums: Signal, taps: Taps | None) -> Signal:
    """Sum over the axes that the coefficients are broadcast along."""
    assert taps is not None
    batch, channels, *_ = sums.shape
    if taps.batch != batch or taps.channels != channels:
        axes = tuple(
            axis for axis, (own, size) in enumerate(zip(taps.shape[:2], (batch, channels), strict=True)) if own != size
        )
        sums = _summed(sums, axes)
    return sums if taps.dtype.startswith("complex") else sums.real


def _summed(array: Signal, axes: tuple[int, ...]) -> Signal:
    with np.errstate(all="ignore"):
        return cast(Signal, array.sum(axis=axes, keepdims=True))


def _assign(target: Signal | None, values: Signal, dtype: str) -> None:
    assert target is not None
    values = values if dtype.startswith("complex") else values.real
    target[...] = to_bfloat16(values) if dtype == "bfloat16" else values


def _call(planned: Plan, extra: tuple[int, int, int], arrays: tuple[Signal | None, ...], shared: Signal | None) -> None:
    """Run the kernel on arrays in the order of its arguments; `extra` has the address of `shared`."""
    counter = np.zeros(8, np.int64)
    fronts = max(1, min(planned.items, num_threads())) if planned.helpers else 1
    block = _CALL.pack(address(counter), fronts, *extra, *headers(arrays)) + planned.constants
    if planned.helpers:
        run(partial(_work, planned, block), planned.items, (counter, arrays, shared))
    else:
        _work(planned, block)


def _work(planned: Plan, block: bytes) -> None:
    # `_own` keeps the memory
    _own, at = scratch(planned.scratch_bytes)
    planned.function(block, at)


kernel = Kernel()
