"""How rows of time, as they lie in memory, are cut into items."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from multirec.backend import Needs, Problem

from .._code.interface import places
from .._code.memory import STORAGES
from .._code.stream import LINE
from .._recurrence.plan import Plan, is_large, plan
from .._recurrence.spec import SWEPT

_MOST_PIECES, _PIECE_BYTES = 4, 1 << 13
"""Pieces of a row of time for each thread, where time is first: as many, if they are not shorter than this."""


@lru_cache(maxsize=512)
def swept(problem: Problem, needs: Needs | None, threads: int) -> Plan:
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
