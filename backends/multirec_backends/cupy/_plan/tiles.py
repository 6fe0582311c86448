"""A warp for each row: tiles of time pass through shared memory, and the lanes of a warp scan them in parallel."""

from __future__ import annotations

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, Problem

from .carry import carry
from .parts import (
    BYTES,
    SHARED_BYTES,
    SLOT_BYTES,
    STORED_BYTES,
    WARP,
    Direction,
    Grid,
    Has,
    Launch,
    Plan,
    Wanted,
    blocks_for,
    compute_dtype,
    dtypes_of,
    types_of,
    value_bytes,
    varies,
    wide_dtype,
)

HIGHEST_ORDER = 16
_WARPS = (3072, 2048)
"""Warps that keep any GPU of today busy; constant, since results must not depend on its size.

A large GPU holds so many at once, and segments that one of them has to wait for take twice as long: of forward kernels
with short lanes, and of others, which need more registers.
"""
_FEWEST_BYTES = 8 << 10
"""What a segment of a row should hold at least."""
_LANE_BYTES = (64, 128)
"""What a lane owns of a tile: more makes the scan cheaper, but takes registers, and short sequences do not fill it."""
_POWERS = 7
"""Matrices that a scan keeps in shared memory for each row."""


def plan(problem: Problem, has: Has) -> Plan | None:
    """Return the plan, or None where these kernels do not compute a problem."""
    p, q = problem.order, problem.input_order
    if p > (1 if varies(problem.feedback) else HIGHEST_ORDER) or q > HIGHEST_ORDER:
        return None
    tiled, gradient = _Tiles(problem, False), _Tiles(problem, True)
    if not has(tiled.kernel("forward")):
        return None
    forward = tiled.direction(Wanted())
    way = "a warp for each example and channel, tiles of time scanned in parallel"
    return Plan(way=way, forward=forward, backward=gradient.direction)


class _Tiles:
    def __init__(self, problem: Problem, back: bool) -> None:
        self.problem, self.back = problem, back
        p, q = problem.order, problem.input_order
        flags = varies(problem.feedforward), varies(problem.feedback)
        self.varies_feedback = flags[1]
        self.varies = any(flags)
        self.arguments = ",".join([types_of(problem), str(p), str(q), *(str(flag).lower() for flag in flags)])
        self.value = value_bytes(problem)
        self.is_half = problem.y_dtype in HALF_DTYPES
        short, long = _LANE_BYTES
        numbers = (p + q) * (2 if problem.y_dtype in COMPLEX_DTYPES else 1)
        # in double, powers over more samples lose more
        self.is_double = compute_dtype(problem.y_dtype) in ("float64", "complex128")
        fits = not self.is_double and numbers <= 4 and not self.varies
        # backward of half types keeps y's tile too, and a block is to hold many rows
        fits = fits and not (back and self.is_half)
        self.lane = long if fits and problem.length * self.value > WARP * short else short
        samples = self.lane // self.value
        self.tile = WARP * samples
        self._halo = -(-max(p, q) // samples) * samples

    def kernel(self, name: str, *more: str) -> str:
        return f"tiles_{name}<{','.join([self.arguments, str(self.lane), *more])}>"

    def direction(self, wanted: Wanted) -> Direction:
        problem, back = self.problem, self.back
        p, q, rows = problem.order, problem.input_order, problem.batch * problem.channels
        # of half types, and where x is not there, y is read
        reads_y = back and (self.is_half or not wanted.feedforward)
        kernel = self.kernel("backward", str(reads_y).lower()) if back else self.kernel("forward")
        grid, threads, shared = self._grid(reads_y)

        def launch(phase: int) -> Launch:
            return Launch(kernel, blocks_for(grid.items), threads, shared, grid, phase)

        if grid.segments == 1 or not p:
            return Direction((launch(0),), (), grid.segments, grid.groups)
        states = 2 if self.varies_feedback else max(p, q) if back else p
        refines = not self.varies and self.is_double
        launches = []
        for phase in (1, 2) if refines else (1,):
            launches += [launch(phase), carry(problem, states, self.tile, grid, phase, back)]
        launches.append(launch(phase + 1))
        each = rows * grid.segments * states * BYTES[wide_dtype(problem.y_dtype)]
        scratch = [("ends", each), ("starts", each)]
        if refines:
            scratch.append(("again", rows * 8))
        return Direction(tuple(launches), tuple(scratch), grid.segments, grid.groups)

    def _shared_bytes(self, log_rows: int, reads_y: bool) -> int:
        """Return the shared memory of a block, as `Shared` in the CUDA source divides it."""
        problem, p = self.problem, self.problem.order

        def tile(itemsize: int) -> int:
            return (self.tile + 2 * self._halo) * itemsize + SLOT_BYTES

        *_, a_dtype = dtypes_of(problem)
        x = tile(STORED_BYTES[problem.dtype])
        if reads_y and not self.is_half:
            x = 0
        shares_x = problem.shared and log_rows > 0
        row = tile(self.value) * (2 if self.back and self.varies else 1) + (0 if shares_x else x)
        if reads_y:
            row += tile(STORED_BYTES[problem.y_dtype])
        if self.varies_feedback:
            row += tile(STORED_BYTES[a_dtype])
        else:
            row += _POWERS * p * p * BYTES[wide_dtype(a_dtype)]
        return (row << log_rows) + (2 * x if shares_x else 0)

    def _grid(self, reads_y: bool) -> tuple[Grid, int, int]:
        problem = self.problem
        # high orders need more registers, so fewer threads
        most = 4 if problem.order + problem.input_order > 8 else 8
        log_rows = 0
        while (
            (2 << log_rows) <= most
            and (1 << log_rows) < problem.channels
            and self._shared_bytes(log_rows + 1, reads_y) <= SHARED_BYTES
        ):
            log_rows += 1
        groups = -(-problem.channels // (1 << log_rows))
        tiles = -(-problem.length // self.tile)
        segments, per_segment = 1, tiles
        # where feedback varies, one number is handed on, so feedforward must not reach further back
        warps = _WARPS[self.back or self.lane == _LANE_BYTES[1]] if not self.varies or problem.input_order <= 1 else 1
        wanted = warps // max(problem.batch * problem.channels, 1)
        fewest = _FEWEST_BYTES // (self.tile * self.value)
        if wanted > 1 and tiles >= 2 * fewest:
            per_segment = max(-(-tiles // wanted), fewest)
            segments = -(-tiles // per_segment)
        items = problem.batch * groups * segments
        grid = Grid(log_rows, groups, segments, max(per_segment, 1), items, problem.shared and log_rows > 0)
        return grid, WARP << log_rows, self._shared_bytes(log_rows, reads_y)
