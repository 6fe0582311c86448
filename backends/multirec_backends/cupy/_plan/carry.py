"""The scan over the segments of few long rows, which stands between two launches of a kernel that runs them."""

from __future__ import annotations

from multirec.backend import Problem

from .bounds import most_threads
from .parts import BYTES, TYPES, WARP, Grid, Launch, blocks_for, dtypes_of, varies, wide_dtype

_MATRICES = 8
"""What a block keeps: powers of the companion matrix, over a segment and over threads' and warps' segments."""


def carry(problem: Problem, states: int, tile: int, grid: Grid, phase: int, back: bool) -> Launch:
    """Return the launch; a state has `states` numbers, and `grid.tiles` tiles of `tile` samples are a segment."""
    _, y_dtype, _, a_dtype = dtypes_of(problem)
    types, flag = f"{TYPES[y_dtype]},{TYPES[a_dtype]}", str(back).lower()
    wide, wide_a = BYTES[wide_dtype(y_dtype)], BYTES[wide_dtype(a_dtype)]
    if varies(problem.feedback):
        kernel, matrices, each = f"carry_varying<{types},{flag}>", 0, wide + wide_a
    else:
        kernel, matrices, each = f"carry<{types},{states},{tile},{flag}>", _MATRICES * states**2 * wide_a, states * wide
    threads = min(-(-grid.segments // WARP) * WARP, most_threads(kernel))
    shared = matrices + each * threads // WARP
    return Launch(kernel, blocks_for(problem.batch * problem.channels), threads, shared, grid, phase)
