"""Which kernels compute a problem, and how its work is cut up: from sizes and types alone, without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, Problem

FASTEST_ORDER = 16
WARP = 32
LARGEST_GRID = 1 << 30
_SHARED_BYTES = 48 << 10
_WARPS = 4096
"""Warps that keep any GPU of today busy; a constant, since results must not depend on the device's size."""
_FEWEST_TILES = 4

TYPES = {
    "float16": "Half",
    "bfloat16": "BFloat",
    "float32": "float",
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
}
_BYTES = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}


class Grid(NamedTuple):
    """How a launch is cut up: rows of a block, blocks of an example, segments of a row, tiles of a segment."""

    log_rows: int
    groups: int
    segments: int
    tiles: int
    items: int
    shared: int

    @property
    def blocks(self) -> int:
        return min(self.items, LARGEST_GRID)

    @property
    def threads(self) -> int:
        return WARP << self.log_rows


@dataclass(frozen=True, slots=True)
class Plan:
    """The kernels of a problem, by their C++ names, and their grids."""

    note: str
    fast: bool
    tile: int
    order: int
    window: int
    forward_name: str
    backward_name: str
    carry_forward: str
    carry_backward: str
    forward: Grid
    backward: Grid
    carry_shared: tuple[int, int]


def compute_dtype(dtype: str) -> str:
    """Return the type that values of `dtype` are computed in."""
    return "float32" if dtype in HALF_DTYPES else dtype


def wide_dtype(dtype: str) -> str:
    """Return the type of carries and sums."""
    return "complex128" if dtype in COMPLEX_DTYPES else "float64"


def is_fast(problem: Problem) -> bool:
    """Say whether the tiled kernels can compute a problem; the sequential ones can compute any."""
    p, q, feedback = problem.order, problem.input_order, problem.feedback
    varies = feedback is not None and feedback.time != 1
    return p <= (1 if varies else FASTEST_ORDER) and q <= FASTEST_ORDER


@lru_cache(maxsize=1024)
def plan(problem: Problem, has: Callable[[str], bool]) -> Plan:
    """Return the plan of a problem; `has` says whether the device has a fast kernel of these template arguments."""
    p, q = problem.order, problem.input_order
    a, b = problem.feedback, problem.feedforward
    b_dtype = b.dtype if b is not None else problem.compute_dtype
    a_dtype = a.dtype if a is not None and p else problem.compute_dtype
    varies_b, varies_a = b is not None and b.time != 1, p > 0 and a is not None and a.time != 1
    types = ",".join(TYPES[dtype] for dtype in (problem.dtype, problem.y_dtype, b_dtype, a_dtype))
    arguments = f"{types},{p},{q},{str(varies_b).lower()},{str(varies_a).lower()}"
    if not is_fast(problem) or not has(arguments):
        grid = _sequential_grid(problem)
        forward, backward = f"sequential_forward<{types}>", f"sequential_backward<{types}>"
        note = "one thread for each example and channel, sample after sample"
        return Plan(note, False, 1, p, 0, forward, backward, "", "", grid, grid, (0, 0))
    value = _BYTES[compute_dtype(problem.y_dtype)]
    samples = 64 // value
    reach = max(q, 1 if varies_a else 0)
    halo = -(-reach // samples) * samples
    padded = (WARP * samples + 2 * halo) // samples * (samples + 1)
    wide = _BYTES[wide_dtype(a_dtype)]
    scans = p > 0 and not varies_a
    row_bytes = padded * (value + (_BYTES[a_dtype] if varies_a else 0)) + (6 * p * p * wide if scans else 0)
    limit = 4 if p + q > 8 else 8
    window = max(p, q)
    tile = WARP * samples
    cut = scans
    forward = _grid(problem, tile, limit, row_bytes, cut)
    backward = _grid(problem, tile, 16 if problem.shared and limit > 4 else limit, row_bytes, cut)
    carry = f"carry<{TYPES[problem.y_dtype]},{TYPES[a_dtype]}"
    note = "a warp for each example and channel, tiles of time scanned in parallel"
    if forward.segments > 1:
        note += f", {forward.segments} segments of time in three launches"
    return Plan(
        note,
        True,
        tile,
        p,
        window,
        f"forward<{arguments}>",
        f"backward<{arguments}>",
        f"{carry},{p},{tile},false>",
        f"{carry},{window},{tile},true>",
        forward,
        backward,
        (3 * p * p * wide, 3 * window * window * wide),
    )


def _grid(problem: Problem, tile: int, most_rows: int, row_bytes: int, scans: bool) -> Grid:
    log_rows = 0
    while (2 << log_rows) <= most_rows and (1 << log_rows) < problem.channels and (2 << log_rows) * row_bytes <= _SHARED_BYTES:
        log_rows += 1
    groups = -(-problem.channels // (1 << log_rows))
    tiles = -(-problem.length // tile)
    segments, per_segment = 1, tiles
    wanted = _WARPS // max(problem.batch * problem.channels, 1)
    if wanted > 1 and tiles >= 2 * _FEWEST_TILES and (scans or problem.order == 0):
        per_segment = max(-(-tiles // wanted), _FEWEST_TILES)
        segments = -(-tiles // per_segment)
    items = problem.batch * groups * segments
    return Grid(log_rows, groups, segments, max(per_segment, 1), items, row_bytes << log_rows)


def _sequential_grid(problem: Problem) -> Grid:
    groups = -(-problem.channels // WARP)
    return Grid(0, groups, 1, max(problem.length, 1), problem.batch * groups, 0)
