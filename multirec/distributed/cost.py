"""How much ranks send each other, from sizes and types alone."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple, TypeAlias

from .._core.arrays import name_of
from .._core.axes import explicit
from .._core.problem import COMPLEX_DTYPES, HALF_DTYPES, ComputeDtype, Layout, real_precision
from .._core.validate import as_choices
from .._engine.call import call_of
from .._summaries.block import Block

__all__ = ["Cost", "cost"]

Array: TypeAlias = Any

_ALIGNMENT = 16
_SMALL = 2 * _ALIGNMENT
"""By how many samples past inputs move on, and which coefficients vary."""


class Cost(NamedTuple):
    """Bytes that each rank sends in each message of `multirec.distributed.recurrence`, whatever its length.

    Attributes
    ----------
    forward
        To every other rank: what its samples do to a state.
    backward
        To every other rank: gradients of the state before its samples, and of the one after all.
    gradients
        Added up over the ranks: gradients of coefficients that every rank holds; 0 is no message.
    """

    forward: int
    backward: int
    gradients: int


def cost(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    layout: Layout = "BCT",
    compute_dtype: ComputeDtype | None = None,
    resets: bool = False,
) -> Cost:
    """Return how many bytes each rank sends for `recurrence` with these arguments.

    With q + 1 feedforward taps and p of feedback, the state that a rank leaves is q + p numbers a row, and a transition
    p · (q + p) for each channel, or for each row where coefficients differ between examples. Backward sends gradients
    of two states. Each array is filled up to 16 bytes.

    Parameters
    ----------
    x, feedforward, feedback, layout, compute_dtype
        As in `multirec.recurrence`, of one rank, of any array library.
    resets
        Whether there are any.

    Raises
    ------
    MultirecError
        As in `multirec.recurrence`.

    Example
    -------
    >>> import numpy as np
    >>> from multirec.distributed import cost
    >>> cost(np.ones((16, 64, 1000), "float32"), feedback=np.ones((64, 2), "float32"))
    Cost(forward=9248, backward=16384, gradients=512)
    """
    choices = as_choices(layout, False, "auto", compute_dtype)
    call = call_of((x, feedforward, feedback, None, None), choices)
    problem, taps = call.problem, [explicit(part, x, layout) for part in (feedforward, feedback)]
    batch, channels = Block(x, taps[0], taps[1], None, layout, False, problem.length).coefficient_axes
    q, p = problem.input_order, problem.order
    inputs = _padded(problem.batch * problem.x_channels * q * _size(problem.dtype))
    outputs = _padded(problem.batch * problem.channels * p * _size(problem.state_dtype))
    is_complex = any(part is not None and name_of(part.dtype) in COMPLEX_DTYPES for part in taps)
    transition = _padded(prod(batch) * channels * p * (q + p) * _size(problem.compute_dtype) * (1 + is_complex))
    held = []
    for part, kind in zip(taps, (problem.feedforward, problem.feedback), strict=True):
        if part is not None and kind is not None and kind.time == 1:
            held.append((prod(part.shape), name_of(part.dtype)))
    size = max((_size(real_precision(dtype)) for _, dtype in held), default=0)
    numbers = sum(count * (2 if dtype in COMPLEX_DTYPES else 1) for count, dtype in held)
    return Cost(
        inputs + outputs + transition + _SMALL + (_padded(problem.batch) if resets else 0),
        2 * (inputs + outputs),
        numbers * size,
    )


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _size(dtype: str) -> int:
    """Return the bytes of a number."""
    if dtype in HALF_DTYPES:
        return 2
    return (2 if dtype in COMPLEX_DTYPES else 1) * (8 if real_precision(dtype) == "float64" else 4)
