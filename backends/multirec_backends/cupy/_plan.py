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
_WARPS = (3072, 2048)
"""Warps that keep any GPU of today busy, forward and backward; constant, since results must not depend on its size.

A large GPU holds so many at once; backward needs more registers, so it holds fewer.
"""
_FEWEST_BYTES = 8 << 10
"""What a segment of a row should hold at least."""
_LANE_BYTES = (64, 128)
"""What a lane owns of a tile: more makes the scan cheaper, but takes registers, and short sequences do not fill it."""
SLOT_BYTES = 16
_POWERS = 7
"""Matrices that a scan keeps in shared memory for each row."""

TYPES = {
    "float16": "Half",
    "bfloat16": "BFloat",
    "float32": "float",
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
}
BYTES = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}


class Grid(NamedTuple):
    """How a launch is cut up: rows of a block, blocks of an example, segments of a row, tiles of a segment.

    `shares_x`: the rows of a block read one x, into one tile.
    """

    log_rows: int
    groups: int
    segments: int
    tiles: int
    items: int
    shared: int
    shares_x: bool = False

    @property
    def blocks(self) -> int:
        return min(self.items, LARGEST_GRID)

    @property
    def threads(self) -> int:
        return WARP << self.log_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The kernels of a problem, by their C++ names, and their grids; pairs are forward and backward.

    `states` are the lengths of the states that segments hand on, which `carries` scan.
    """

    note: str
    kernels: tuple[str, str]
    grids: tuple[Grid, Grid]
    tile: int = 1
    carries: tuple[str, str] = ("", "")
    carry_shared: tuple[int, int] = (0, 0)
    states: tuple[int, int] = (0, 0)
    refines: bool = False

    @property
    def reading_y(self) -> str:
        """The backward kernel that reads y, and x only for the gradient of feedforward."""
        return self.kernels[1].replace(",false>", ",true>") if self.is_tiled else self.kernels[1]

    @property
    def is_tiled(self) -> bool:
        """Whether the fast kernels compute it."""
        return self.tile > 1


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
    a, b = problem.feedback, problem.feedforward
    b_dtype = b.dtype if b is not None else problem.compute_dtype
    a_dtype = a.dtype if a is not None and a.taps else problem.compute_dtype
    types = ",".join(TYPES[dtype] for dtype in (problem.dtype, problem.y_dtype, b_dtype, a_dtype))
    varies = ",".join("true" if taps is not None and taps.taps and taps.time != 1 else "false" for taps in (b, a))
    arguments = f"{types},{problem.order},{problem.input_order},{varies}"
    if is_fast(problem) and has(arguments):
        return _tiled(problem, arguments, a_dtype)
    grid = _sequential_grid(problem)
    return Plan(
        note="one thread for each example and channel, sample after sample",
        kernels=(f"sequential_forward<{types}>", f"sequential_backward<{types}>"),
        grids=(grid, grid),
    )


def _tiled(problem: Problem, arguments: str, a_dtype: str) -> Plan:
    p, q = problem.order, problem.input_order
    varies = arguments.endswith("true")
    scans = p > 0 and not varies
    value, wide = BYTES[compute_dtype(problem.y_dtype)], BYTES[wide_dtype(a_dtype)]
    short, long = _LANE_BYTES
    fits = value == 4 and p + q <= 4 and "true" not in arguments
    lane = long if fits and problem.length * value > WARP * short else short
    samples = lane // value
    tile = WARP * samples
    halo = -(-max(p, q) // samples) * samples
    tile_bytes = (tile + 2 * halo) * value + SLOT_BYTES
    row_bytes = tile_bytes + (_POWERS * p * p * wide if scans else 0)
    if varies:
        row_bytes += (tile + 2 * halo) * BYTES[a_dtype] + SLOT_BYTES
    # high orders need more registers, so fewer threads
    most = 4 if p + q > 8 else 8
    # where feedback varies, one number is handed on, so feedforward must not reach further back
    segmented = not varies or q <= 1
    forward, backward = (
        _grid(problem, tile, most, row_bytes, tile_bytes, warps if segmented else 1) for warps in _WARPS
    )
    a_type, y_type = TYPES[a_dtype], TYPES[problem.y_dtype]
    if varies:
        states, carry_shared = (2, 2), (0, 0)
        carries = f"carry_varying<{y_type},{a_type},false>", f"carry_varying<{y_type},{a_type},true>"
    else:
        states = p, max(p, q)
        carry_shared = 3 * states[0] ** 2 * wide, 3 * states[1] ** 2 * wide
        carry = f"carry<{y_type},{a_type}"
        carries = f"{carry},{states[0]},{tile},false>", f"{carry},{states[1]},{tile},true>"
    note = "a warp for each example and channel, tiles of time scanned in parallel"
    if forward.segments > 1:
        note += f", {forward.segments} segments of time" + (" in three launches" if p else "")
    return Plan(
        note=note,
        kernels=(f"forward<{arguments},{lane}>", f"backward<{arguments},{lane},false>"),
        grids=(forward, backward),
        tile=tile,
        carries=carries,
        carry_shared=carry_shared,
        states=states,
        refines=not varies and compute_dtype(problem.y_dtype) in ("float64", "complex128"),
    )


def _grid(problem: Problem, tile: int, most_rows: int, row_bytes: int, tile_bytes: int, warps: int) -> Grid:
    log_rows = 0
    while (
        (2 << log_rows) <= most_rows
        and (1 << log_rows) < problem.channels
        and (2 << log_rows) * row_bytes + tile_bytes <= _SHARED_BYTES
    ):
        log_rows += 1
    groups = -(-problem.channels // (1 << log_rows))
    tiles = -(-problem.length // tile)
    segments, per_segment = 1, tiles
    wanted = warps // max(problem.batch * problem.channels, 1)
    fewest = _FEWEST_BYTES // (tile * BYTES[compute_dtype(problem.y_dtype)])
    if wanted > 1 and tiles >= 2 * fewest:
        per_segment = max(-(-tiles // wanted), fewest)
        segments = -(-tiles // per_segment)
    items = problem.batch * groups * segments
    shares_x = problem.shared and log_rows > 0
    shared = (row_bytes << log_rows) + tile_bytes
    return Grid(log_rows, groups, segments, max(per_segment, 1), items, shared, shares_x)


def _sequential_grid(problem: Problem) -> Grid:
    groups = -(-problem.channels // WARP)
    return Grid(0, groups, 1, max(problem.length, 1), problem.batch * groups, 0)
