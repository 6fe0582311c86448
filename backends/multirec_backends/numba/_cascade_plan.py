"""How a cascade is laid onto lanes, items and threads: chosen by its shape alone, never by the number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from multirec.backend import Cascade

from ._cascade_spec import FORWARD, TAPS, CascadeSpec
from ._compile import compiled, vector_bytes
from ._interface import places
from ._launch import Launch
from ._memory import STORAGES
from ._plan import LARGE, SMALL, side_by_side


@dataclass(frozen=True)
class CascadePlan:
    """What is fixed by a cascade."""

    launch: Launch


@lru_cache(maxsize=512)
def plan(cascade: Cascade) -> CascadePlan:
    """Plan a cascade; the same answer for the same shapes."""
    spec = CascadeSpec(
        double=cascade.compute_dtype == "float64",
        x=cascade.dtype,
        y=cascade.y_dtype,
        taps=cascade.taps_dtype,
        shared=cascade.shared,
        vector_bytes=vector_bytes(),
    )
    lanes, total = spec.format.lanes, cascade.batch * cascade.channels
    # a group of lanes stays within one example where the example's x is shared, or its channels are neighbours
    together = cascade.shared or (cascade.layout != "BCT" and cascade.channels >= lanes)
    span = cascade.channels if together else total
    blocks = -(-span // lanes)
    groups = blocks * (total // span if span else 0)
    run = side_by_side(cascade.layout, blocks, groups)
    items = (total // span if span else 0) * -(-blocks // run)
    turn, kept = spec.scratch(cascade.sections)
    starts, turn_bytes = places(turn)
    kept_starts, end = places(kept, turn_bytes)
    y_bytes = total * cascade.length * STORAGES[cascade.y_dtype].bytes
    constants = (
        *(items, cascade.length, cascade.batch, cascade.channels, span, lanes, blocks, run, cascade.sections),
        *(end - turn_bytes, int(y_bytes > LARGE), int(cascade.reverse)),
    )
    return CascadePlan(
        Launch(
            function=compiled(spec),
            call=FORWARD.call,
            constants=FORWARD.fix(constants, starts | kept_starts),
            scratch_bytes=turn_bytes + run * (end - turn_bytes) + 64,
            items=items,
            helpers=items > 1 and total * cascade.length * cascade.sections * TAPS > SMALL,
        )
    )
