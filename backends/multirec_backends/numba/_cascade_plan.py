"""How a cascade is laid onto lanes, items and threads: chosen by its shape alone, never by the number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

from multirec.backend import Cascade, CascadeNeeds

from ._cascade_spec import ORDER, TAPS, CascadeSpec
from ._compile import compiled, vector_bytes
from ._interface import places
from ._launch import Launch
from ._memory import STORAGES
from ._plan import LARGE, SMALL, side_by_side
from ._spec import TILE

_STARTS = 1 << 20
"""Bytes of memories that are kept while the gradient goes back, where a signal is not longer than that allows."""


@dataclass(frozen=True)
class CascadePlan:
    """What is fixed by a cascade: `slices` partial rows of `padded` samples make a shared x's gradient."""

    launch: Launch
    slices: int
    padded: int


@lru_cache(maxsize=512)
def plan(cascade: Cascade, needs: CascadeNeeds | None = None) -> CascadePlan:
    """Plan a cascade that has samples, or its gradients that are needed; the same answer for the same shapes."""
    vjp, sections = needs is not None, cascade.sections
    spec = CascadeSpec(
        vjp=vjp,
        double=cascade.compute_dtype == "float64",
        x=cascade.dtype,
        y=cascade.y_dtype,
        taps=cascade.taps_dtype,
        shared=cascade.shared,
        vector_bytes=vector_bytes(),
        grad_x=needs is not None and needs.x,
        grad_taps=needs is not None and needs.taps,
    )
    lanes, total = spec.format.lanes, cascade.batch * cascade.channels
    # a group of lanes stays within one example where the example's x is shared, or its channels are neighbours
    together = cascade.shared or (cascade.layout != "BCT" and cascade.channels >= lanes)
    span = cascade.channels if together else total
    blocks = -(-span // lanes)
    run = 1 if vjp else side_by_side(cascade.layout, blocks, blocks * (total // span))
    slices = -(-blocks // run)
    items = total // span * slices
    tiles = -(-cascade.length // TILE)
    stretch = min(max(isqrt(tiles), _STARTS // (ORDER * sections * spec.format.row_bytes)), tiles)
    turn, kept = spec.scratch(sections, stretch, -(-tiles // stretch))
    starts, turn_bytes = places(turn)
    kept_starts, end = places(kept, turn_bytes)
    y_bytes = total * cascade.length * STORAGES[cascade.y_dtype].bytes
    constants = [
        *(items, cascade.length, cascade.batch, cascade.channels, span, lanes, blocks, run, sections),
        *(end - turn_bytes, int(y_bytes > LARGE), int(cascade.reverse)),
    ]
    multiply_adds = total * cascade.length * sections * TAPS * (4 if vjp else 1)
    return CascadePlan(
        launch=Launch(
            function=compiled(spec),
            call=spec.interface.call,
            constants=spec.interface.fix([*constants, stretch] if vjp else constants, starts | kept_starts),
            scratch_bytes=turn_bytes + run * (end - turn_bytes) + 64,
            items=items,
            helpers=items > 1 and multiply_adds > SMALL,
        ),
        slices=slices,
        padded=tiles * TILE,
    )
