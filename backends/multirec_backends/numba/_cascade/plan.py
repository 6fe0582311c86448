"""How a cascade is laid onto lanes, items and threads: chosen by its shape alone, never by the number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np

from multirec.backend import Cascade, CascadeNeeds

from .._code.interface import places
from .._code.memory import STORAGES
from .._recurrence.plan import LARGE, SMALL, side_by_side
from .._recurrence.spec import TILE
from .._run.compile import vector_bytes
from .._run.launch import Launch
from .spec import MOST_VECTORS, ORDER, TAPS, CascadeSpec, WaveSpec

_STARTS = 1 << 20
"""Bytes of memories that are kept while the gradient goes back, where a signal is not longer than that allows."""


@dataclass(frozen=True)
class CascadePlan:
    """What is fixed by a cascade: memories are of shape `delays` and type `state`.

    `slices` partial rows of `padded` samples make a shared x's gradient; where there are none, a row of every channel.
    """

    launch: Launch
    delays: tuple[int, int, int, int]
    state: np.dtype[Any]
    slices: int
    padded: int


@lru_cache(maxsize=512)
def plan(cascade: Cascade, needs: CascadeNeeds | None = None) -> CascadePlan:
    """Plan a cascade that has samples, or its gradients that are needed; the same answer for the same shapes."""
    return _lanes(cascade, needs) if _many(cascade) else _wave(cascade, needs)


def _many(cascade: Cascade) -> bool:
    """Say whether there are so many rows that they are better the lanes themselves, than sections are."""
    vectors, side = _wave_vectors(cascade)
    # cycles a sample: a row waits for two multiply-adds, or keeps the machine busy; five a section serve all rows
    return cascade.batch * cascade.channels * max(8, 4 * vectors) // side > 10 + 6 * cascade.sections


def _wave_vectors(cascade: Cascade) -> tuple[int, int]:
    """Return how many vectors a row's sections take, and how many rows go side by side, in two items at least."""
    width = vector_bytes() // (8 if cascade.compute_dtype == "float64" else 4)
    vectors, rows = min(-(-cascade.sections // width), MOST_VECTORS), cascade.batch * cascade.channels
    # more would not be in registers
    pairs = vectors == 1 and rows > 2 and rows % 2 == 0 and not cascade.y_dtype.startswith("complex")
    return vectors, 2 if pairs else 1


def _wave(cascade: Cascade, needs: CascadeNeeds | None) -> CascadePlan:
    vectors, side = _wave_vectors(cascade)
    items = cascade.batch * cascade.channels // side
    spec = WaveSpec(
        vjp=needs is not None,
        double=cascade.compute_dtype == "float64",
        x=cascade.dtype,
        y=cascade.y_dtype,
        taps=cascade.taps_dtype,
        vector_bytes=vector_bytes(),
        vectors=vectors,
        side=side,
        grad_x=_grad_x(cascade, needs),
        grad_taps=needs is not None and needs.taps,
    )
    pieces = -(-cascade.length // spec.chunk)
    stretch = _stretch(pieces, spec.delay_bytes(cascade.sections))
    starts, end = places(spec.scratch(cascade.sections, stretch, -(-pieces // stretch)))
    constants = [items, cascade.length, cascade.channels, cascade.sections, _large(cascade), int(cascade.reverse)]
    block = spec.interface.fix([*constants, stretch] if spec.vjp else constants, starts)
    return _planned(cascade, _launch(spec, cascade, block, end, items))


def _grad_x(cascade: Cascade, needs: CascadeNeeds | None) -> str:
    """Return the data type of x's gradient, in which nothing is lost before rows that share x are summed."""
    if needs is None or not needs.x:
        return ""
    return cascade.state_dtype if cascade.shared else cascade.dtype


def _lanes(cascade: Cascade, needs: CascadeNeeds | None) -> CascadePlan:
    sections = cascade.sections
    spec = CascadeSpec(
        vjp=needs is not None,
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
    run = 1 if spec.vjp else side_by_side(cascade.layout, blocks, blocks * (total // span))
    slices = -(-blocks // run)
    items = total // span * slices
    pieces = -(-cascade.length // TILE)
    stretch = _stretch(pieces, ORDER * sections * spec.format.row_bytes)
    turn, kept = spec.scratch(sections, stretch, -(-pieces // stretch))
    starts, turn_bytes = places(turn)
    kept_starts, end = places(kept, turn_bytes)
    constants = [
        *(items, cascade.length, cascade.channels, sections, _large(cascade), int(cascade.reverse)),
        *(cascade.batch, span, lanes, blocks, run, end - turn_bytes),
    ]
    block = spec.interface.fix([*constants, stretch] if spec.vjp else constants, starts | kept_starts)
    launch = _launch(spec, cascade, block, turn_bytes + run * (end - turn_bytes), items)
    return _planned(cascade, launch, slices, pieces * TILE)


def _planned(cascade: Cascade, launch: Launch, slices: int = 0, padded: int = 0) -> CascadePlan:
    delays = cascade.batch, cascade.channels, cascade.sections, ORDER
    return CascadePlan(launch, delays, np.dtype(cascade.state_dtype), slices, padded)


def _stretch(pieces: int, size: int) -> int:
    """Return how many pieces make a stretch, where the memories that one starts from take `size` bytes."""
    return min(max(isqrt(pieces), _STARTS // size), pieces)


def _large(cascade: Cascade) -> int:
    """Return 1 where the output is written past the caches."""
    count = cascade.batch * cascade.channels * cascade.length
    return int(count * STORAGES[cascade.y_dtype].bytes > LARGE)


def _launch(spec: CascadeSpec | WaveSpec, cascade: Cascade, constants: bytes, scratch: int, items: int) -> Launch:
    multiply_adds = cascade.batch * cascade.channels * cascade.length * cascade.sections * TAPS * (4 if spec.vjp else 1)
    return Launch(
        spec=spec,
        call=spec.interface.call,
        constants=constants,
        scratch_bytes=scratch + 64,
        items=items,
        helpers=items > 1 and multiply_adds > SMALL,
    )
