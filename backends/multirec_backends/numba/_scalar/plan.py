"""Rows side by side: which are one vector as they are neighbours in memory, and how many vectors an item has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from multirec.backend import Needs, Problem

from .._code.interface import places
from .._code.stream import LINE
from .._recurrence.plan import Plan, plan
from .._recurrence.spec import SCALAR


def neighbours(problem: Problem, signals: Sequence[Any], grad_y: Any) -> int:
    """Return how many rows are neighbours in memory in all of these arrays (B, C, T, …), of which some may be None.

    It is a power of two that divides their number, in one example or, in "TBC", in all.
    """
    if problem.layout == "BCT":
        return 1
    rows = problem.channels * (problem.batch if problem.layout == "TBC" else 1)
    there = [array for array in signals if array is not None]
    # that of a sum is the same at all times
    there += [] if grad_y is None or not grad_y.strides[2] else [grad_y]
    for array in there:
        size = array.itemsize
        together = problem.channels == 1 or array.strides[1] == size
        if rows != problem.channels:
            together &= problem.batch == 1 or array.strides[0] == problem.channels * size
        if not together or array.shape[1] != problem.channels or array.shape[0] != problem.batch:
            return 1
    return rows & -rows


@lru_cache(maxsize=512)
def scalar(problem: Problem, needs: Needs | None, together: int) -> Plan:
    """Plan a problem of which so many rows are neighbours."""
    tiled = plan(problem, needs)
    width = min(together, tiled.spec.format.width)
    vectors = problem.batch * problem.channels // width
    side = min(tiled.side, 1 << vectors.bit_length() - 1)
    spec = replace(
        tiled.spec, side=side, neighbours=width, order=problem.order, input_order=problem.input_order,
    )  # fmt: skip
    starts, end = places(spec.scalar_scratch())
    items = vectors // side + vectors % side
    constants = (items, problem.length, problem.batch, problem.channels, int(problem.reverse))
    launch = replace(
        tiled.launch, spec=spec, call=SCALAR.call, constants=SCALAR.fix(constants, starts), scratch_bytes=end + LINE,
        items=items,
    )  # fmt: skip
    return replace(tiled, spec=spec, launch=launch)
