"""How recurrences with an activation inside are laid onto lanes, items and threads: by their shape alone."""

from __future__ import annotations

import struct
from functools import lru_cache

from multirec.backend import Activated, ActivatedNeeds

from .._code.interface import places
from .._code.memory import STORAGES
from .._recurrence.plan import ITEMS, LARGE, SMALL
from .._recurrence.spec import TILE
from .._run.compile import vector_bytes
from .._run.launch import Launch
from .spec import ActivatedSpec

MOST_ORDER = 32
"""A state is in registers, or close to them; beyond this order another algorithm would be due."""
_AHEAD = 16
"""Samples ahead of time that signals are asked for, where a sample of many channels is a piece of memory."""
_MOST_NEIGHBOURS = 16
"""Groups of lanes in an item, where channels are neighbours."""
_STEP = 32
"""Multiply-adds that a step is worth, about."""


@lru_cache(maxsize=512)
def plan(
    problem: Activated,
    parameters: tuple[int, ...],
    targets: tuple[bool, ...] = (),
    needs: ActivatedNeeds | None = None,
) -> Launch:
    """Plan a problem that has samples, or its gradients that are needed; the same answer for the same shapes."""
    width = vector_bytes() // STORAGES[problem.compute_dtype].bytes
    total = problem.batch * problem.channels
    together = problem.count is not None or (problem.layout != "BCT" and problem.channels >= 2 * width)
    spec = ActivatedSpec(
        vjp=needs is not None,
        kind=problem.kind,
        activation=problem.activation,
        order=problem.order,
        double=problem.compute_dtype == "float64",
        signals=problem.dtypes,
        parameters=parameters,
        sequences="" if not problem.numbered else "examples" if problem.count is None else "states",
        together=together and problem.numbered,
        vector_bytes=vector_bytes(),
        ahead=TILE if problem.layout == "BCT" else _AHEAD,
        to_signals=targets,
        to_parameters=needs is not None and any(needs.parameters),
    )
    lanes = spec.format.lanes
    # a group of lanes stays within one example where the example's channels are neighbours
    span = problem.channels if together else total
    blocks = -(-span // lanes)
    groups = blocks * (total // span)
    # channels that are neighbours make long pieces of memory
    run = max(1, min(blocks, groups // ITEMS, _MOST_NEIGHBOURS)) if problem.layout != "BCT" else 1
    items = total // span * -(-blocks // run)
    turn, kept = spec.scratch()
    starts, turn_bytes = places(turn)
    kept_starts, end = places(kept, turn_bytes)
    kept_bytes = end - turn_bytes
    large = total * problem.length * STORAGES[problem.dtype].bytes > LARGE
    scale = struct.unpack("q", struct.pack("d", problem.scale))[0]
    constants = (
        *(items, problem.length, problem.batch, problem.channels, span, lanes, blocks, run, kept_bytes),
        *(int(large), int(problem.reverse), scale),
    )
    return Launch(
        spec=spec,
        call=spec.interface.call,
        constants=spec.interface.fix(constants, starts | kept_starts),
        scratch_bytes=turn_bytes + run * kept_bytes + 64,
        items=items,
        helpers=items > 1 and total * problem.length * (problem.order + _STEP) * (3 if spec.vjp else 1) > SMALL,
    )
