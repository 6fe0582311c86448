"""Which problems go through memory row by row of time, and how they are cut into items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from multirec.backend import Needs, Problem, num_threads

from ._interface import places
from ._memory import STORAGES
from ._plan import Plan, is_large, plan
from ._spec import SWEPT
from ._stream import LINE

_MOST_PIECES, _PIECE_BYTES = 4, 1 << 13
"""Pieces of a row of time for each thread, where time is first: as many, if they are not shorter than this."""


def plan_for(
    problem: Problem, needs: Needs | None, signals: Sequence[Any], taps: Sequence[Any], grad_y: Any = None
) -> Plan:
    """Plan a problem for arrays, of which some may be None: row by row where their channels are neighbours.

    The gradient of y may also be that of a sum, which is the same at all times.
    """
    planned = plan(problem, needs)
    if not _may_sweep(problem, planned):
        return planned
    varying = (array for array in taps if array is not None and array.shape[2] > 1)
    rows = all(array is None or array.strides[1] == array.itemsize for array in (*signals, *varying))
    rows &= grad_y is None or not grad_y.strides[2] or grad_y.strides[1] == grad_y.itemsize
    return _swept(problem, needs, num_threads()) if rows else planned


def _may_sweep(problem: Problem, planned: Plan) -> bool:
    spec = planned.spec
    if problem.layout == "BCT" or problem.shared or not spec.in_registers or problem.channels < spec.format.width:
        return False
    # what does not change along time has gradients that are sums, which tiles add up
    sums = (spec.grad_feedforward and not spec.feedforward_varies) or (spec.grad_feedback and not spec.feedback_varies)
    return (spec.feedforward_varies or spec.feedback_varies) and not sums


@lru_cache(maxsize=512)
def _swept(problem: Problem, needs: Needs | None, threads: int) -> Plan:
    """Cut rows for so many threads: into few pieces, for the longer they are, the faster memory is.

    Nothing is added up across channels, so results are the same however rows are cut.
    """
    tiled = plan(problem, needs)
    spec = replace(tiled.spec, swept=True)
    batch, channels, size = problem.batch, problem.channels, STORAGES[problem.y_dtype].bytes
    pieces = threads if tiled.launch.helpers else 1
    examples = 1
    if problem.layout == "TBC":
        pieces = max(pieces, min(_MOST_PIECES * pieces, batch * channels * size // _PIECE_BYTES))
        examples = max(1, batch // pieces)
    slices = -(-pieces // batch)
    # whole lines, whatever is stored
    lanes = min(channels, -(-channels // slices // LINE) * LINE)
    items = -(-batch // examples) * -(-channels // lanes)
    padded = -(-lanes // spec.format.width) * spec.format.width
    starts, end = places(spec.swept_scratch(padded * examples))
    constants = (items, problem.length, batch, channels, examples, lanes, int(is_large(problem)), int(problem.reverse))
    launch = replace(
        tiled.launch, spec=spec, call=SWEPT.call, constants=SWEPT.fix(constants, starts), scratch_bytes=end + LINE,
        items=items,
    )  # fmt: skip
    return replace(tiled, spec=spec, launch=launch)
