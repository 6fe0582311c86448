"""Sequences made of recurrences: for every array library, with every derivative and transform.

What is of one length is gathered into a batch, run from the states before it, and put back where it came from. Half
types are computed in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.axes import cast_to, in_computed_types, operands_in, signal_out, state_in
from .._core.problem import in_precision
from .._core.state import State
from .._core.validate import Call, Choices
from .._memory.hand_over import as_layout_contiguous, placed
from ..backend import Operands
from .gather import PieceTaps, before, by_time, in_rows, put_back, replaced, returned, taken
from .numbers import Sequences
from .segments import Piece, Segments, pieces, segments_of

__all__ = ["Course", "Run", "composed", "course_of"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array | None, ...]
Run: TypeAlias = Callable[[Arrays, Choices], tuple[Array, State]]
"""Computes a recurrence of (x, feedforward, feedback, inputs, outputs)."""


class Course(NamedTuple):
    """What is run of a call on sequences.

    Attributes
    ----------
    x
        (B * T, channels), in the precision that is computed in.
    taps
        Of feedforward and feedback.
    given
        Inputs and outputs of the states before, (states, time, channels), or None.
    segments, pieces
        Where sequences lie, and the pieces that they are run in.
    choices
        Of each run.
    """

    x: Array
    taps: tuple[PieceTaps, PieceTaps]
    given: tuple[Array | None, Array | None]
    segments: Segments
    pieces: list[Piece]
    choices: Choices


def course_of(arrays: Arrays, call: Call, states: Call, sequences: Sequences, choices: Choices) -> Course:
    """Return what is run, of sequences on the host."""
    problem = call.problem
    x, feedforward, feedback, *state = (
        placed(part, problem) if isinstance(part, np.ndarray) and problem.family != "numpy" else part for part in arrays
    )
    own = in_computed_types(problem, Operands(x, feedforward, feedback, state[0], state[1]))
    operands = operands_in(call, own.x, own.feedforward, own.feedback, None, None)
    wide = in_precision(problem.dtype, problem.compute_dtype)
    inputs, outputs = (None if part is None else by_time(state_in(part, states)) for part in own[3:])
    segments = segments_of(sequences, problem)
    # a run of nothing still says what y is and what it depends on
    nothing = Piece(*(np.zeros(shape, np.int64) for shape in ((0,), (0, 1), (0, 1))))
    return Course(
        in_rows(cast_to(operands.x, wide)),
        (PieceTaps(operands.feedforward), PieceTaps(operands.feedback)),
        (None if inputs is None else cast_to(inputs, wide), outputs),
        segments,
        [*pieces(segments, problem.reverse)] or [nothing],
        Choices("BTC", choices.reverse, choices.backend, problem.compute_dtype),
    )


def composed(
    run: Run, arrays: Arrays, call: Call, states: Call, sequences: Sequences, choices: Choices
) -> tuple[Array, State]:
    """Return y and the state of (x, feedforward, feedback, inputs, outputs), with sequences on the host."""
    problem, course = call.problem, course_of(arrays, call, states, sequences, choices)
    x, taps, given, segments, *_ = course
    now = [None if part is None else before(part, segments.given) for part in given]
    parts, places = [], []
    for piece in course.pieces:
        flat = piece.rows * problem.length + piece.times
        block = taken(x, flat.reshape(-1)).reshape((*flat.shape, x.shape[-1]))
        past = (None if part is None else taken(part, piece.segments) for part in now)
        y, after = run((block, *(own.of(piece) for own in taps), *past), course.choices)
        now = [replaced(*both, piece, len(segments.rows)) for both in zip(now, after, strict=True)]
        parts.append(y)
        places.append(flat.reshape(-1))
    y = cast_to(put_back(parts, np.concatenate(places), problem.batch, problem.length), problem.y_dtype)
    kept = (returned(*both, segments.last) for both in zip(now, given, strict=True))
    inputs, outputs = (
        cast_to(part, dtype) for part, dtype in zip(kept, (problem.dtype, problem.state_dtype), strict=True)
    )
    own = [
        signal_out(as_layout_contiguous(part, problem.layout, problem.family), problem.layout, shape)
        for part, shape in (
            (y, call.batch_shape),
            (by_time(inputs), states.batch_shape),
            (by_time(outputs), states.batch_shape),
        )
    ]
    return own[0], State(*own[1:])
