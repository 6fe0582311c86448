"""Teams of lanes that step through segments of time: feedback of order 2 and above that varies, and orders above 16."""

from __future__ import annotations

from math import isqrt

from multirec.backend import Problem

from .parts import (
    BYTES,
    SLOT_BYTES,
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
    wide_dtype,
)

HIGHEST_ORDER = 31
_MOST_WARPS = 4096
"""Warps of the first launch, more than which would not help any GPU of today."""
_SHORTEST = 512
"""Samples of a row that is cut."""
_MOST_PRODUCTS = 1024
"""Instructions in double that all rows take for a sample, above which rows are not cut.

With so many, a GPU with few units for double takes some times as long as uncut; others take a part of that.
"""
_CARRY_NUMBERS = 2048
_CARRY_THREADS = 128
_FEWEST_LANES = 8


def plan(problem: Problem, has: Has) -> Plan | None:
    """Return the plan, or None where these kernels do not compute a problem."""
    p, q = problem.order, problem.input_order
    if not 0 < p <= HIGHEST_ORDER or q > HIGHEST_ORDER:
        return None
    types = types_of(problem)
    forward, backward = direction(problem, False, types), direction(problem, True, types)
    if not has(forward.launches[-1].kernel):
        return None
    way = "a team of lanes for each example and channel, coefficients through shared memory"
    return Plan(way=way, forward=forward, backward=lambda wanted: backward)


def _teams(lanes: int) -> int:
    """Return the teams of a warp that need so many lanes each."""
    return WARP // max(lanes, _FEWEST_LANES)


def _segment(problem: Problem, states: int, length: int, tile: int) -> int:
    """Return the tiles of a segment.

    A segment takes as many steps as it has samples, and carrying as many as there are segments: one that takes about as
    long as stepping through two samples.
    """
    rows = problem.batch * problem.channels
    most = _MOST_WARPS * _teams(states + 1) // max(rows, 1)
    if rows * states > _MOST_PRODUCTS * _teams(states + 1) or problem.length < _SHORTEST or most < 4:
        return -(-length // tile)
    return -(-length // (tile * min(isqrt(length // 2), most)))


def direction(problem: Problem, back: bool, types: str) -> Direction:
    """Return a direction of a problem, which has coefficients of these types."""
    # feedforward of the adjoint must reach no further than a state
    states = max(problem.order, problem.input_order) if back else problem.order
    rows, length = problem.batch * problem.channels, problem.length + (states if back else 0)
    value, wide = value_bytes(problem), BYTES[wide_dtype(problem.y_dtype)]
    a_dtype = compute_dtype(dtypes_of(problem)[3])
    tap, wide_tap = BYTES[a_dtype], BYTES[wide_dtype(a_dtype)]
    run = max(8 // states, 1) * states
    tile = max((16 if tap > 4 else 32) // run, 1) * run
    tiles = max(_segment(problem, states, length, tile), 1)
    segments = max(-(-length // (tile * tiles)), 1)

    def team(bytes_of_tap: int, bytes_of_value: int) -> int:
        slots = max(SLOT_BYTES // bytes_of_tap, 1)
        taps = (2 if back else 1) * tile * -(-states // slots) * slots * bytes_of_tap
        return -(-(taps + (states + tile) * bytes_of_value) // 32) * 32 + 16

    def launch(name: str, lanes: int, count: int, each: int, phase: int) -> Launch:
        teams = _teams(lanes)
        grid = Grid(segments=segments, tiles=tiles, items=-(-rows * count // teams))
        return Launch(name, blocks_for(grid.items), WARP, teams * each, grid, phase)

    arguments = f"<{types},{states}>"
    flagged = f"<{types},{states},{str(back).lower()}>"
    each = team(tap, value) + (2 * (tile + states) * value if back else 0)
    name = f"products_{'backward' if back else 'forward'}{arguments}"
    # each row has a gradient of a shared x
    groups = problem.channels
    if segments == 1:
        return Direction((launch(name, states, 1, each, 0),), (), 1, groups)
    ends = launch(f"products_ends{flagged}", states + 1, segments - 1, team(wide_tap, wide), 1)
    size = states * (states + 1)
    shared = (min(_CARRY_NUMBERS // size, 64) * size + 2 * states) * wide
    carry = Launch(f"products_carry{flagged}", blocks_for(rows), _CARRY_THREADS, shared, ends.grid, 1)
    launches = [ends, carry]
    if value == wide:
        # in double the start states are mended once
        launches += [launch(name, states, segments - 1, each, 2), carry._replace(phase=2)]
    launches.append(launch(name, states, segments, each, launches[-1].phase + 1))
    scratch = (
        ("ends", rows * segments * size * wide),
        ("starts", rows * segments * states * wide),
        ("again", rows * 8),
    )
    return Direction(tuple(launches), scratch, segments, groups)
