"""A lane for each row where channels lie next to each other: the warps of a block run consecutive stretches of time.

Of half types a lane has two rows, and half a warp a stretch, as long as the orders are low enough for registers to
hold both rows.
"""

from __future__ import annotations

from multirec.backend import HALF_DTYPES, Problem

from .bounds import most_threads
from .carry import carry
from .parts import (
    BYTES,
    SHARED_BYTES,
    SLOT_BYTES,
    TYPES,
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
    varies,
    wide_dtype,
)

HIGHEST_ORDER = 4
_HIGHEST_OF_TWO = 2
"""The highest order of two rows a lane."""
_SECTOR_BYTES = 32
"""What a GPU reads at least: rows that lie next to each other should fill it."""
_MANY = 256
"""Groups of rows from which on a tile has 8 runs, so that a GPU holds two blocks for each processor; else 16."""
_ENOUGH = 128
"""Blocks that keep any GPU of today busy; constant, since results must not depend on its size."""
_FEWEST, _LONG = 16, 4096
"""Groups of rows below which rows of more samples are left to others, where they can't be cut in time here."""
_FEWEST_TILES, _FEWEST_SEGMENTS = 4, 4
"""Tiles of a segment of a row, and segments for which two more launches are worth their time."""


def plan(problem: Problem, has: Has) -> Plan | None:
    """Return the plan, or None where these kernels do not compute a problem."""
    if problem.layout == "BCT" or not _applies(problem):
        return None
    channels = _Channels(problem)
    if not channels.segmented and channels.all_groups < _FEWEST and problem.length > _LONG:
        return None
    forward = channels.direction(False, Wanted())
    if not has(forward.launches[0].kernel):
        return None
    rows = "each example and channel" if channels.rows == 1 else "two channels"
    way = f"a lane for {rows}, a warp for each run of samples"
    return Plan(way=way, forward=forward, backward=lambda wanted: channels.direction(True, wanted))


def _applies(problem: Problem) -> bool:
    p, q = problem.order, problem.input_order
    if p > HIGHEST_ORDER or q > HIGHEST_ORDER or (varies(problem.feedback) and (p > 1 or q > 1)):
        return False
    if problem.shared:
        return problem.channels >= WARP
    neighbours = problem.channels * (problem.batch if problem.layout == "TBC" else 1)
    return neighbours * BYTES[compute_dtype(problem.y_dtype)] >= _SECTOR_BYTES


class _Channels:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        flags = varies(problem.feedforward), varies(problem.feedback)
        self.varies = flags[1]
        orders = problem.order, problem.input_order
        dtypes = dtypes_of(problem)
        # of a lane
        self.rows = 2 if problem.y_dtype in HALF_DTYPES and max(orders) <= _HIGHEST_OF_TWO else 1
        x_rows = 1 if problem.shared else self.rows
        each = x_rows, *3 * [self.rows]
        types = (f"Two<{TYPES[t]}>" if n > 1 else TYPES[t] for t, n in zip(dtypes, each, strict=True))
        self.arguments = ",".join([*types, *map(str, orders), *(str(flag).lower() for flag in flags)])
        self.x_bytes = BYTES[compute_dtype(dtypes[0])] * x_rows
        self.value = BYTES[compute_dtype(dtypes[1])]
        self.a_dtype = dtypes[3]
        # floats have digits to spare
        self.segmented = not problem.order or compute_dtype(problem.y_dtype) not in ("float64", "complex128")
        parts, rows = (problem.batch, problem.channels) if problem.shared else (1, problem.batch * problem.channels)
        self.groups = -(-rows // WARP)
        self.all_groups = parts * self.groups

    def samples(self, back: bool) -> int:
        """Return the samples of a run, which registers hold twice; two rows have the registers of two threads."""
        few = self.problem.order <= 2 and self.problem.input_order <= 2 and not self.varies
        most = 128 if few and not back else 32 if back and self.varies else 64
        if self.rows > 1:
            if varies(self.problem.feedforward):
                most //= 2
            elif most == 128 and not self.problem.shared:
                most = 96  # x is in registers, too
        return most // self.value

    def states(self, back: bool) -> int:
        """Return the numbers that one run hands to the next."""
        p, q = self.problem.order, self.problem.input_order
        return max(p, q if back else 0, 1) + self.varies

    def shared(self, back: bool, runs: int) -> int:
        """Return the bytes of shared memory, as `Board` in the CUDA source cuts it up."""
        p, q = self.problem.order, self.problem.input_order
        wide, powers = BYTES[wide_dtype(self.problem.y_dtype)], BYTES[wide_dtype(self.a_dtype)]
        size = 2 * WARP * wide * self.states(back) * (runs + 1) + WARP // self.rows * 4 * runs
        if not self.varies:
            size += WARP * powers * max(p, q if back else 0) * p
        if self.problem.shared:
            halo = -(-q * self.x_bytes // SLOT_BYTES) * SLOT_BYTES
            size += (3 if back else 2) * (halo + runs * self.samples(back) * self.x_bytes)
        return size

    def direction(self, back: bool, wanted: Wanted) -> Direction:
        problem = self.problem
        p, samples, states = problem.order, self.samples(back), self.states(back)
        more = [str(samples), str(problem.shared).lower()]
        if back:
            # of half types, and where x is not there, y is read
            more.append(str(compute_dtype(problem.y_dtype) != problem.y_dtype or not wanted.feedforward).lower())
        kernel = f"channels_{'backward' if back else 'forward'}<{','.join([self.arguments, *more])}>"
        lanes = WARP // self.rows
        runs = most_threads(kernel) // lanes
        if self.all_groups >= _MANY or self.shared(back, runs) > SHARED_BYTES:
            runs = 8
        tile = runs * samples
        tiles = -(-problem.length // tile)
        segments = self._segments(tiles)
        per_segment = max(-(-tiles // segments), 1)
        segments = max(-(-tiles // per_segment), 1)
        items = self.all_groups * segments
        grid = Grid(5, self.groups, segments, per_segment, items, problem.shared)

        def launch(phase: int) -> Launch:
            return Launch(kernel, blocks_for(items), lanes * runs, self.shared(back, runs), grid, phase)

        groups = self.groups if problem.shared else 1
        if segments == 1 or not p:
            return Direction((launch(0),), (), segments, groups)
        each = problem.batch * problem.channels * segments * states * BYTES[wide_dtype(problem.y_dtype)]
        launches = launch(1), carry(problem, states, tile, grid, 1, back), launch(2)
        return Direction(launches, (("ends", each), ("starts", each)), segments, groups)

    def _segments(self, tiles: int) -> int:
        """Return into how many segments a row is cut, where there are few rows."""
        if self.all_groups > _ENOUGH // 2 or not self.segmented:
            return 1
        segments = min(_ENOUGH // max(self.all_groups, 1), tiles // _FEWEST_TILES)
        return segments if segments >= _FEWEST_SEGMENTS or (segments > 1 and self.all_groups > _FEWEST) else 1
