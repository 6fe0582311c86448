"""Several sequences in one row of time: gates of order 1 where channels lie next to each other, and all the rest."""

from __future__ import annotations

from functools import lru_cache

from multirec.backend import Problem

from .parts import (
    BYTES,
    WARP,
    Direction,
    Grid,
    Has,
    Launch,
    Plan,
    Wanted,
    blocks_for,
    compute_dtype,
    types_of,
    value_bytes,
    varies,
)

FEWEST_CHANNELS = 8
"""Channels that lie next to each other from which on a lane has one of them."""
HIGHEST_ORDER = 4
"""Up to which a thread has all that it remembers in registers, if coefficients do not vary."""
MANY_GROUPS = 256
"""Groups of 32 channels from which on blocks are small, so that two are on a processor and wait in turn."""
RUN, RUN_BACK = 16, 8
"""Samples of a run, forward and in the gradient."""


@lru_cache(maxsize=256)
def plan(problem: Problem, has: Has) -> Plan:
    """Return the plan of a problem, which every problem has."""
    return _gates(problem, has) or _walk(problem, has) or _general(problem)


def _gates(problem: Problem, has: Has) -> Plan | None:
    fits = problem.order == 1 and problem.input_order == 0 and not problem.shared
    if not fits or problem.layout == "BCT" or problem.channels < FEWEST_CHANNELS:
        return None
    b = problem.feedforward
    driven = "false" if b is None else "true"
    groups = -(-problem.channels // WARP)
    warps = 16 if value_bytes(problem) <= 8 and problem.batch * groups < MANY_GROUPS else 8

    def direction(back: bool) -> Direction:
        run = RUN_BACK if back else RUN
        grid = Grid(groups=groups, tiles=max(-(-problem.length // (warps * run)), 1), items=problem.batch * groups)
        kernel = f"sequences_gates_{'backward' if back else 'forward'}<{types_of(problem)},{driven}>"
        # what runs of two tiles hand on; sums over time have their place afterwards
        shared = 2 * warps * (WARP * 2 * value_bytes(problem) + 4)
        launch = Launch(kernel, blocks_for(grid.items), warps * WARP, shared, grid, int(problem.reverse))
        return Direction((launch,), groups=groups)

    def backward(wanted: Wanted) -> Direction:
        return direction(True)

    if not has(direction(False).launches[0].kernel):
        return None
    return Plan(
        way="runs of 16 samples of several sequences, a channel a lane", forward=direction(False), backward=backward
    )


def _walk(problem: Problem, has: Has) -> Plan | None:
    p, q = problem.order, problem.input_order
    if max(p, q) > HIGHEST_ORDER or varies(problem.feedforward) or varies(problem.feedback):
        return None

    def direction(back: bool) -> Direction:
        groups = -(-problem.channels // WARP)
        grid = Grid(groups=groups, tiles=max(problem.length, 1), items=problem.batch * groups)
        kernel = f"sequences_walk_{'backward' if back else 'forward'}<{types_of(problem)},{p},{q}>"
        launch = Launch(kernel, blocks_for(grid.items), WARP, 0, grid, int(problem.reverse))
        return Direction((launch,), groups=groups)

    def backward(wanted: Wanted) -> Direction:
        return direction(True)

    if not has(direction(False).launches[0].kernel):
        return None
    return Plan(
        way="one thread for each example and channel, with what it remembers in registers, through several sequences",
        forward=direction(False),
        backward=backward,
    )


def _general(problem: Problem) -> Plan:
    def direction(back: bool) -> Direction:
        groups = -(-problem.channels // WARP)
        grid = Grid(groups=groups, tiles=max(problem.length, 1), items=problem.batch * groups)
        kernel = f"sequences_{'backward' if back else 'forward'}<{types_of(problem)}>"
        past = max(problem.order, problem.input_order if back else 0) + int(back)
        ring = max(past, 1) * problem.batch * problem.channels * BYTES[compute_dtype(problem.y_dtype)]
        launch = Launch(kernel, blocks_for(grid.items), WARP, 0, grid, int(problem.reverse))
        return Direction((launch,), (("ring", ring),), groups=groups)

    def backward(wanted: Wanted) -> Direction:
        return direction(True)

    return Plan(
        way="one thread for each example and channel, sample after sample of several sequences",
        forward=direction(False),
        backward=backward,
    )
