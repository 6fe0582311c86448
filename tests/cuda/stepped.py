"""What stepping sample by sample, in a problem's own precision, makes of it: any way of computing may err as much."""

from __future__ import annotations

from typing import Any

import numpy as np

from multirec.adjoint import gradients
from multirec.backend import Needs, Operands, Problem

Array = Any


def stepped(
    problem: Problem, operands: Operands, grad_y: Array, grad_last: Array | None, extended: bool = False
) -> list[Array]:
    """Return y, its last p samples, and the gradients of x, feedforward, feedback, inputs and outputs, or None.

    The last samples are as they were computed, not rounded to y's type.

    `extended` computes in long double, and rounds nothing.
    """

    def computed(array: Array) -> Array:
        real = np.longdouble if extended else problem.compute_dtype
        return array.astype(np.result_type(array.dtype, real) if array.dtype.kind == "c" else real)

    def kept(array: Array, dtype: str) -> Array:
        return array if extended else array.astype(dtype)

    with np.errstate(all="ignore"):
        given = Operands(*(None if part is None else computed(part) for part in operands))
        outputs = _forward(given, problem.reverse)
        first = 0 if problem.reverse else max(problem.length - problem.order, 0)
        y = kept(outputs, problem.y_dtype)
        whole = computed(grad_y)
        if grad_last is not None:
            count = grad_last.shape[-1]
            place = slice(0, count) if problem.reverse else slice(whole.shape[-1] - count, None)
            whole[..., place] += grad_last
        needs = Needs(*(part is not None for part in operands))
        found = gradients(_forward, given, computed(y), whole, needs, problem.reverse)
        return [y, outputs[..., first : first + problem.order], kept(found.x, problem.dtype), *found[1:]]


def _forward(operands: Operands, reverse: bool) -> Array:
    """Return y (B, C, T)."""
    if reverse:
        signals = (None if part is None else part[..., ::-1] for part in operands[3:])
        taps = (None if part is None else part[:, :, ::-1] for part in operands[1:3])
        return _forward(Operands(operands.x[..., ::-1], *taps, *signals), False)[..., ::-1]
    x, b, a, inputs, outputs = operands
    length = x.shape[-1]
    driven = x
    if b is not None:
        past = np.zeros((*x.shape[:2], b.shape[-1] - 1), x.dtype) if inputs is None else inputs
        whole = np.concatenate([past, x], axis=-1)
        driven = sum(b[..., j] * whole[..., past.shape[-1] - j :][..., :length] for j in range(b.shape[-1]))
    if a is None:
        return driven
    p = a.shape[-1]
    shape = np.broadcast_shapes(driven.shape[:2], a.shape[:2], () if outputs is None else outputs.shape[:2])
    y = np.zeros((length + p, *shape), np.result_type(driven, a))
    if outputs is not None:
        y[:p] = np.moveaxis(outputs, -1, 0)
    steps = np.broadcast_to(np.moveaxis(a, (2, 3), (0, 1)), (length, p, *a.shape[:2]))
    for t in range(length):
        total = driven[..., t]
        for k in reversed(range(p)):
            total = total + steps[t, k] * y[t + p - 1 - k]
        y[t + p] = total
    return np.moveaxis(y[p:], 0, -1)
