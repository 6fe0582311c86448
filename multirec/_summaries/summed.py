"""A block's map, computed: one pass for the state that it leaves from zeros, and unit states beside it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .._core.axes import zeros
from .._core.problem import ComputeDtype, Problem
from .._core.state import State
from .._core.validate import Call, Choices
from .affine import columns_of, weighted
from .block import Block, varies
from .gates import Gates
from .passage import Passage
from .units import Units

__all__ = ["summed"]

Array: TypeAlias = Any

_MEMORY = {"cpu": 1 << 23, "cuda": 1 << 26}
"""Bytes of outputs that there are at a time, if they are of no fewer samples than `_LEAST`."""
_LEAST = 512
_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16}


def summed(block: Block, call: Call, choices: Choices, *, values_only: bool) -> tuple[State, Array]:
    """Return the state after a block from zeros, and its transition.

    With `values_only` no derivative is wanted: outputs are forgotten piece by piece, and of samples that leave no trace
    it is only seen whether they are finite.
    """
    problem = call.problem
    (q, p), length = block.orders, block.length
    head = min(q, length)
    # past inputs are gone after the first q samples: the rest is between outputs alone
    rest = block._replace(feedforward=None)
    units = _units(rest, problem.compute_dtype, choices, values_only) if p and head < length else None
    passage = Passage(State(None, None), choices)
    begin = 0 if p else length - head
    if isinstance(units, Units) and block.is_static:
        # a look at what is on a device would wait for it
        looks = values_only and problem.device_type == "cpu"
        reach = _run(units, rest.cut(head, length), _step(problem, p, values_only), looks)
        if reach < length - head and _is_finite(block.cut(0, length - head - reach).x):
            begin = length - head - reach
    for start, stop in _stretches(begin, length, _step(problem, problem.batch, values_only)):
        passage.run(block.cut(start, stop))
        if units is not None and not block.is_static and stop > head:
            units.run(rest.cut(max(start, head), stop))
    transition = None if units is None else units.columns(rest)
    if q or transition is None:
        transition = _with_head(block, head, transition, choices, problem)
    return passage.state, transition


def _units(block: Block, precision: ComputeDtype, choices: Choices, values_only: bool) -> Units | Gates:
    if values_only and block.orders == (0, 1) and varies(block.feedback, block.layout):
        return Gates(precision)
    return Units(block, precision, choices)


def _run(units: Units, block: Block, step: int | None, looks: bool) -> int:
    """Run units over a block of static coefficients, if one `looks` until nothing is left; return how far."""
    done = 0
    while done < block.length:
        # few looks, and no more than twice as far as need be
        stop = min(done + min(max(done, _LEAST), step or block.length), block.length) if looks else block.length
        units.run(block.cut(done, stop))
        done = stop
        if looks and units.have_faded():
            break
    return done


def _is_finite(x: Array) -> bool:
    """Whether all samples are finite; False as well where their sum has no number."""
    with np.errstate(all="ignore"):
        return bool(abs(x.sum()) < np.inf)


def _with_head(block: Block, head: int, rest: Array | None, choices: Choices, problem: Problem) -> Array:
    """Return the transition, of a block's first samples and what its others do to outputs."""
    q, p = block.orders
    if not p:
        batch, channels = block.coefficient_axes
        return zeros(block.x, (*batch, channels, 0, q), problem.compute_dtype)
    units = Units(block, problem.compute_dtype, choices)
    units.run(block.cut(0, head))
    found = units.columns(block)
    return found if rest is None else weighted(rest[..., :, None, :], columns_of(found))


def _step(problem: Problem, rows: int, values_only: bool) -> int | None:
    """Return how many samples of so many rows of channels are in memory at a time; None is all."""
    most = _MEMORY.get(problem.device_type)
    if not values_only or most is None:
        return None
    return max(most // max(_BYTES[problem.y_dtype] * rows * problem.channels, 1), _LEAST)


def _stretches(begin: int, end: int, step: int | None) -> list[tuple[int, int]]:
    """Return pieces of time that follow each other; one, if there is no time."""
    step = step or max(end - begin, 1)
    return [(start, min(start + step, end)) for start in range(begin, max(end, begin + 1), step)]
