"""The caller's axes, for kernels that take arrays as they are."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from .problem import Layout
from .state import state_kinds
from .validate import Call

__all__ = ["Axes", "Form", "form_of"]

Place: TypeAlias = int | None
"""Where an array has an axis; None where it has none, which is as if it had one of length 1."""


class Axes(NamedTuple):
    """Where arrays have the canonical axes.

    Attributes
    ----------
    signal
        Of x, y and both parts of the state: batch, channels, time.
    feedforward, feedback
        Of coefficients: batch, channels, time, taps.
    """

    signal: tuple[Place, Place, Place]
    feedforward: tuple[Place, Place, Place, Place]
    feedback: tuple[Place, Place, Place, Place]


class Form(NamedTuple):
    """What arrays a caller has, apart from their strides.

    Attributes
    ----------
    axes
        Where they have which axes.
    operands
        The shapes of x, feedforward, feedback and the state's inputs and outputs, or None.
    y, inputs, outputs
        The shapes of what a call returns.
    """

    axes: Axes
    operands: tuple[tuple[int, ...] | None, ...]
    y: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def form_of(call: Call, operands: tuple[tuple[int, ...] | None, ...]) -> Form | None:
    """Return the form of a call's arrays of these shapes, or None where it has several batch axes."""
    layout = call.problem.layout
    if len(call.batch_shape) > 1:
        return None
    signal = _signal(layout, bool(call.batch_shape))
    rank = len(call.y_shape)
    taps = [_taps(signal, None if shape is None else len(shape), rank) for shape in operands[1:3]]
    (inputs, _), (outputs, _) = state_kinds(call.problem, call.batch_shape)
    return Form(Axes(signal, *taps), operands, call.y_shape, inputs, outputs)


def _signal(layout: Layout, has_batch: bool) -> tuple[Place, Place, Place]:
    """Return where a signal has batch, channels and time.

    >>> _signal("BTC", True), _signal("BTC", False)
    ((0, 2, 1), (None, 1, 0))
    """
    letters = [letter for letter in layout if letter != "B" or has_batch]
    batch, channels, time = (letters.index(letter) if letter in letters else None for letter in "BCT")
    return batch, channels, time


def _taps(signal: tuple[Place, Place, Place], own: int | None, rank: int) -> tuple[Place, Place, Place, Place]:
    """Return where coefficients with `own` axes have theirs, next to a y of `rank` axes."""
    if own is None or own == 2:
        return None, 0, None, 1
    if own == rank:
        return 0, 1, None, 2
    return *signal, rank
