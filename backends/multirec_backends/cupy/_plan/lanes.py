"""A lane for each segment of a row: orders 3 to 16, coefficients that do not vary, enough rows to fill a GPU."""

from __future__ import annotations

from multirec.backend import Problem

from .bounds import FEW_WORDS, warps_of_lanes, words_of_lanes
from .parts import (
    BYTES,
    TYPES,
    WARP,
    Direction,
    Grid,
    Has,
    Launch,
    Plan,
    blocks_for,
    compute_dtype,
    dtypes_of,
    types_of,
    value_bytes,
    varies,
    wide_dtype,
)

LOWEST_ORDER, HIGHEST_ORDER = 3, 16
_PROCESSORS = 128
"""Of a large GPU of today, which are kept busy; constant, since results must not depend on its size."""
_MOST_SEGMENTS = 512
"""Of a row: their states are handed on one after another."""
_FEWEST_ROWS = 16
"""Fewer rows than this, in so many segments, are too few lanes."""
_LINE_BYTES = 128
"""What a lane has of a signal at once."""
FEWEST_LINES = 4
"""Lines of a segment, at least."""
_MOST_WORDS = 192
"""Registers for taps, past values and sums, at most."""
_TOGETHER = 4
"""The phase of a single launch for all segments."""
_TOGETHER_WARPS = 8
_TOGETHER_LOG_ROWS = 4
TOGETHER_LINES = 8
"""Of a segment there: short ones overlap better, but a filter's memory is to fit in half of one."""
FEWEST_GROUPS = 192
"""Blocks that a single launch should have at least: between one and two for a processor."""
FEWEST_STRETCHES = 2
"""Of time, that a block of a single launch takes one after another: else nothing overlaps."""


def samples_of(problem: Problem) -> int:
    """Return the samples of a line."""
    return _LINE_BYTES // value_bytes(problem)


def plan(problem: Problem, has: Has) -> Plan | None:
    """Return the plan, or None where these kernels do not compute a problem."""
    p, q = problem.order, problem.input_order
    if not LOWEST_ORDER <= p <= HIGHEST_ORDER or q > HIGHEST_ORDER:
        return None
    if varies(problem.feedback) or varies(problem.feedforward):
        return None
    lanes = _Lanes(problem)
    if lanes.rows < _FEWEST_ROWS or lanes.words > _MOST_WORDS or not has(lanes.kernel("forward")):
        return None
    forward = lanes.together() or lanes.direction(back=False)
    way = "a lane for each example, channel and segment of time"
    return Plan(way=way, forward=forward, backward=lambda wanted: lanes.direction(back=True))


class _Lanes:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        p, q = problem.order, problem.input_order
        self.rows = problem.batch * problem.channels
        self.words = words_of_lanes(p, q, value_bytes(problem))
        self.a_dtype = dtypes_of(problem)[3]
        self.refines = compute_dtype(problem.y_dtype) in ("float64", "complex128")
        lanes = _PROCESSORS * warps_of_lanes(p, q, value_bytes(problem)) * WARP
        segments = min(max(lanes // max(self.rows, 1), 1), _MOST_SEGMENTS)
        if segments < WARP:
            segments = 1 << segments.bit_length() - 1
        lines = -(-problem.length // samples_of(problem))
        self.lines = max(-(-lines // segments), FEWEST_LINES)
        self.segments = max(-(-lines // self.lines), 1)

    def kernel(self, name: str) -> str:
        return f"lanes_{name}<{types_of(self.problem)},{self.problem.order},{self.problem.input_order}>"

    def direction(self, back: bool) -> Direction:
        problem, rows = self.problem, self.rows
        kernel, grid = self.kernel("backward" if back else "forward"), self._grid()
        shared = self._shared(back, grid)

        def launch(phase: int) -> Launch:
            blocks = grid.items + (self._tables() if phase == 1 else 0)
            return Launch(kernel, blocks_for(blocks), WARP, shared, grid, phase)

        groups = grid.groups if problem.shared else 1
        if self.segments == 1:
            return Direction((launch(0),), (), 1, groups)
        states = max(problem.order, problem.input_order) if back else problem.order
        carry = f"lanes_carry<{TYPES[problem.y_dtype]},{TYPES[self.a_dtype]},{states},{str(back).lower()}>"
        wide = BYTES[wide_dtype(problem.y_dtype)]
        launches = [self._trust(states, grid, 0)]
        for phase in (1, 2) if self.refines else (1,):
            launches += [launch(phase), Launch(carry, blocks_for(rows), WARP, states * wide, grid, phase)]
        launches.append(launch(phase + 1))
        each = rows * self.segments * states * wide
        scratch = (("ends", each), ("starts", each), ("powers", self._table_bytes(states)))
        return Direction(tuple(launches), scratch, self.segments, groups)

    def together(self) -> Direction | None:
        """Return y in one launch, where there are enough rows for it; or None."""
        problem, p = self.problem, self.problem.order
        log_rows, own = _TOGETHER_LOG_ROWS, WARP >> _TOGETHER_LOG_ROWS
        rows, examples = (problem.channels, problem.batch) if problem.shared else (self.rows, 1)
        per_example = -(-rows >> log_rows)
        groups = examples * per_example
        samples = TOGETHER_LINES * samples_of(problem)
        segments = -(-problem.length // samples)
        if (
            self.refines
            or p > 8
            or self.words > FEW_WORDS
            or self.segments == 1
            or problem.layout != "BCT"
            or groups < FEWEST_GROUPS
            or segments < FEWEST_STRETCHES * _TOGETHER_WARPS * own
        ):
            return None
        grid = Grid(log_rows, per_example, segments, TOGETHER_LINES, groups, problem.shared)
        line = WARP * _LINE_BYTES + (own * _LINE_BYTES if problem.shared else 0) + 2 * WARP * 8
        run = Launch(
            self.kernel("together"),
            blocks_for(groups),
            _TOGETHER_WARPS * WARP,
            _TOGETHER_WARPS * line,
            grid,
            _TOGETHER,
        )
        return Direction((self._trust(p, grid, _TOGETHER), run), (("powers", self._table_bytes(p)),))

    def _tables(self) -> int:
        a = self.problem.feedback
        assert a is not None
        return a.batch * a.channels

    def _table_bytes(self, states: int) -> int:
        return self._tables() * (states**2 + 1) * BYTES[wide_dtype(self.a_dtype)]

    def _trust(self, states: int, grid: Grid, phase: int) -> Launch:
        threads = -(-(states**2) // WARP) * WARP
        shared = states**2 * BYTES[wide_dtype(self.a_dtype)] + threads // WARP * 16
        types = f"{TYPES[self.problem.y_dtype]},{TYPES[self.a_dtype]},{states}"
        return Launch(f"lanes_trust<{types}>", blocks_for(self._tables()), threads, shared, grid, phase)

    def _grid(self) -> Grid:
        problem = self.problem
        if problem.shared:
            own, examples = problem.channels, problem.batch
        else:
            own, examples = self.rows, 1
        log_rows = min((max(own, 1) - 1).bit_length(), 5)
        if not problem.shared and problem.layout == "BCT":
            # as many segments of a row as there are, so that neither rows nor segments leave lanes without work
            log_rows = max(5 - (self.segments - 1).bit_length(), 0)
        groups = -(-own // (1 << log_rows))
        chunks = -(-self.segments // (WARP >> log_rows))
        return Grid(log_rows, groups, self.segments, self.lines, examples * groups * chunks, problem.shared)

    def _shared(self, back: bool, grid: Grid) -> int:
        """Return the bytes of a warp's lines, sums, and of where its lines begin."""
        problem = self.problem
        whole = WARP * _LINE_BYTES
        if back:
            sums = problem.input_order + 1 + problem.order
            return 3 * whole + WARP * sums * BYTES[wide_dtype(problem.y_dtype)] + 4 * WARP * 8
        more = (WARP >> grid.log_rows) * _LINE_BYTES if problem.shared else 0
        return whole + more + 2 * WARP * 8
