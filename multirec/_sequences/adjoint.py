"""The gradient of sequences that are computed side by side: piece by piece, backwards, without autograd."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import name_of
from .._core.axes import (
    cast_to,
    namespace,
    signal_in,
    signal_out,
    state_gradient_out,
    taps_gradient_out,
    zeros,
)
from .._core.validate import Call, Choices
from .._engine.call import launcher_of
from ..backend import Gradients, Needs
from .composed import Course, course_of
from .gather import PieceTaps, before, by_time, in_rows, replaced, taken
from .numbers import Sequences
from .segments import Piece

__all__ = ["composed_vjp"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array | None, ...]


def composed_vjp(
    arrays: Arrays,
    call: Call,
    states: Call,
    sequences: Sequences,
    choices: Choices,
    grad_y: Array,
    grad_state: tuple[Array | None, Array | None],
    needs: Needs,
) -> Gradients:
    """Return the gradients that are needed."""
    problem, course = call.problem, course_of(arrays, call, states, sequences, choices)
    x, segments, given = course.x, course.segments, course.given
    runs = _runs(course, problem.length)
    grad = in_rows(cast_to(signal_in(grad_y, problem.layout, problem.batch), problem.state_dtype))
    of_state = [
        None if part is None else by_time(signal_in(cast_to(part, name), problem.layout, states.problem.batch))
        for part, name in zip(grad_state, (name_of(x.dtype), problem.state_dtype), strict=True)
    ]
    count = len(segments.rows)
    now = [None if part is None else _to_last(part, segments.last, count) for part in of_state]
    to_x = zeros(x, tuple(x.shape))
    sums = [_Sum(own) for own in course.taps]
    for piece, operands, y in reversed(runs):
        flat = (piece.rows * problem.length + piece.times).reshape(-1)
        own_grad = taken(grad, flat).reshape((*piece.times.shape, grad.shape[-1]))
        of_inputs, of_outputs = (None if part is None else taken(part, piece.segments) for part in now)
        launcher = launcher_of(operands, course.choices)
        found: Any = launcher.vjp(operands, y, own_grad, of_inputs, of_outputs, _needs_of(operands, needs))
        to_x[flat] = found.x.reshape((len(flat), x.shape[-1]))
        for own, part in zip(sums, found[1:3], strict=True):
            own.add(part, piece)
        now = [
            old if part is None else replaced(old, part, piece, count) for old, part in zip(now, found[3:], strict=True)
        ]
    to_given = [
        None if own is None else _to_given(own, after, part, segments)
        for own, after, part in zip(given, now, of_state, strict=True)
    ]
    gradients = _out(arrays, call, states, to_x, [own.total for own in sums], to_given)
    return Gradients(*(grad if need else None for grad, need in zip(gradients, needs, strict=True)))


def _needs_of(operands: Arrays, needs: Needs) -> Needs:
    """Return what each run needs: its past leads to what is before it."""
    past = [part is not None for part in operands[3:]]
    return Needs(True, needs.feedforward, needs.feedback, *past)


def _runs(course: Course, length: int) -> list[tuple[Piece, Arrays, Array]]:
    """Run everything forward, and return what each run took and gave."""
    x, taps, given, segments, kept, choices = course
    now = [None if part is None else before(part, segments.given) for part in given]
    runs = []
    for piece in kept:
        flat = piece.rows * length + piece.times
        block = taken(x, flat.reshape(-1)).reshape((*flat.shape, x.shape[-1]))
        past = (None if part is None else taken(part, piece.segments) for part in now)
        operands = (block, *(own.of(piece) for own in taps), *past)
        y, after = launcher_of(operands, choices)(operands)
        now = [replaced(*both, piece, len(segments.rows)) for both in zip(now, after, strict=True)]
        runs.append((piece, operands, y))
    return runs


class _Sum:
    """The gradient of coefficients, of all pieces together."""

    def __init__(self, own: PieceTaps) -> None:
        self.own = own
        self.total = None if own.taps is None else zeros(own.taps, own.shape)

    def add(self, part: Array | None, piece: Piece) -> None:
        if part is None or self.total is None:
            return
        if not self.own.varies:
            self.total += part
            return
        flat = self.own.flat(self.total)
        index = self.own.index(piece).reshape(-1)
        part = self.own.flat(part)
        if hasattr(flat, "index_add_"):
            flat.index_add_(0, namespace(flat).as_tensor(index, device=flat.device), part)
        else:
            namespace(flat).add.at(flat, index, part)


def _to_last(grad: Array, last: Any, count: int) -> Array:
    """Return the gradient of each stretch's state, of those that are returned."""
    found = zeros(grad, (count, *grad.shape[1:]))
    own = np.flatnonzero(last < count)
    found[last[own]] = grad[own]
    return found


def _to_given(given: Array, now: Array | None, of_state: Array | None, segments: Any) -> Array:
    """Return the gradient of the given states, from the stretches that they enter or what is returned as it was."""
    found, count = zeros(given, tuple(given.shape)), len(segments.rows)
    own = np.flatnonzero(segments.given >= 0)
    if now is not None:
        found[segments.given[own]] = now[own]
    passed = np.flatnonzero((segments.last >= count) & (segments.last < count + len(segments.last)))
    if of_state is not None:
        found[passed] += of_state[passed]
    return found


def _out(
    arrays: Arrays, call: Call, states: Call, to_x: Array, to_taps: list[Array | None], to_given: list[Array | None]
) -> Gradients:
    """Return gradients with the shapes and data types of the arrays."""
    problem = call.problem
    signal = by_time(to_x.reshape((problem.batch, problem.length, to_x.shape[-1])))
    found = [signal_out(signal, problem.layout, call.batch_shape)]
    for taps, grad in zip(arrays[1:3], to_taps, strict=True):
        rank = len(call.y_shape)
        found.append(
            None if grad is None else taps_gradient_out(by_time(grad), call, tuple(taps.shape), rank)  # type: ignore[union-attr]
        )
    for part, grad in zip(arrays[3:], to_given, strict=True):
        found.append(
            None if part is None or grad is None else state_gradient_out(by_time(grad), states, tuple(part.shape))
        )
    return Gradients(
        *(
            None if grad is None or part is None else cast_to(grad, name_of(part.dtype))
            for grad, part in zip(found, arrays, strict=True)
        )
    )
