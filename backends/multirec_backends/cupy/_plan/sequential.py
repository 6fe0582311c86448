"""One thread for each row, one sample after another: any order, coefficients that vary in any way."""

from __future__ import annotations

from multirec.backend import Problem

from .parts import BYTES, WARP, Direction, Grid, Has, Launch, Plan, Wanted, blocks_for, compute_dtype, types_of


def plan(problem: Problem, has: Has) -> Plan:
    """Return the plan, which every problem has."""

    def direction(back: bool) -> Direction:
        groups = -(-problem.channels // WARP)
        grid = Grid(groups=groups, tiles=max(problem.length, 1), items=problem.batch * groups)
        kernel = f"sequential_{'backward' if back else 'forward'}<{types_of(problem)}>"
        past = max(problem.order, problem.input_order if back else 0) + int(back)
        ring = max(past, 1) * problem.batch * problem.channels * BYTES[compute_dtype(problem.y_dtype)]
        return Direction((Launch(kernel, blocks_for(grid.items), WARP, 0, grid),), (("ring", ring),), groups=groups)

    def backward(wanted: Wanted) -> Direction:
        return direction(True)

    return Plan(
        way="one thread for each example and channel, sample after sample",
        forward=direction(False),
        backward=backward,
    )
