"""Coefficients that come at a frame rate: the kernels of feedback that varies, which make those of samples."""

from __future__ import annotations

from functools import lru_cache

from multirec.backend import Framed, Problem

from .parts import BYTES, LARGEST_GRID, TYPES, Direction, Launch, Plan, Wanted, dtypes_of, wide_dtype
from .products import HIGHEST_ORDER, direction

FEWEST_SAMPLES = 8
"""Of a frame, as many as lanes read at once."""
_THREADS = 128


@lru_cache(maxsize=256)
def plan(framed: Framed) -> Plan | None:
    """Return the plan, or None where these kernels do not compute a problem."""
    problem = framed.problem
    p, q = problem.order, problem.input_order
    if not 0 < p <= HIGHEST_ORDER or q > HIGHEST_ORDER or framed.hop < FEWEST_SAMPLES:
        return None
    x, y, b, a = (TYPES[dtype] for dtype in dtypes_of(problem))
    types = f"{x},{y},Framed<{b}>,Framed<{a}>"
    whole = direction(problem, True, types)
    with_frames = _and_frames(problem, whole, types, framed.frames)

    def backward(wanted: Wanted) -> Direction:
        parts = (problem.feedforward, wanted.feedforward), (problem.feedback, wanted.feedback)
        # of a single frame there are sums over time
        several = any(want and taps is not None and taps.time > 1 for taps, want in parts)
        return with_frames if several else whole

    way = "a team of lanes for each example and channel, which makes coefficients from frames"
    return Plan(way=way, forward=direction(problem, False, types), backward=backward)


def _and_frames(problem: Problem, whole: Direction, types: str, frames: int) -> Direction:
    """Return the same with sums for each frame that a segment meets, and a launch that adds them up."""
    last = whole.launches[-1]
    rows, every = problem.batch * problem.channels, problem.input_order + 1 + problem.order
    size = rows * (whole.segments + frames) * 2 * every * BYTES[wide_dtype(problem.y_dtype)]
    blocks = max(min(-(-rows * frames * every // _THREADS), LARGEST_GRID), 1)
    name = f"products_frames<{types},{max(problem.order, problem.input_order)}>"
    launch = Launch(name, blocks, _THREADS, 0, last.grid, last.phase)
    return whole._replace(launches=(*whole.launches, launch), scratch=(*whole.scratch, ("frames", size)))
