"""Frames expanded to samples, one by one and by the definition; and problems to try."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from multirec._core.axes import from_channels_time

Array = Any


class Case(NamedTuple):
    length: int
    hop: int
    offset: int
    order: int
    batch: int
    channels: int
    x_channels: int
    taps: tuple[int, int]
    extra: int
    """Frames beyond those that the block begins."""


CASES = [
    Case(100, 7, 3, 4, 2, 3, 3, (2, 3), 1),
    Case(5, 16, 9, 9, 1, 1, 1, (1, 1), 0),
    Case(1200, 600, 0, 4, 1, 2, 1, (1, 2), 0),
    Case(30, 1, 0, 9, 1, 2, 2, (1, 1), 1),
    Case(7, 3, 1, 9, 5, 1, 1, (5, 1), 1),
    Case(1, 4, 3, 1, 1, 1, 1, (1, 1), 1),
]


def arrays_of(case: Case, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Return x, frames of gains and of feedback, and past outputs, in layout BCT."""
    rng = np.random.default_rng(seed)
    frames = max(-(-(case.offset + case.length) // case.hop), 1) + case.extra
    return (
        rng.standard_normal((case.batch, case.x_channels, case.length)),
        rng.uniform(0.5, 1.5, (*case.taps, frames, 1)),
        rng.uniform(-1.2, 1.2, (*case.taps, frames, case.order)) / case.order,
        rng.standard_normal((case.batch, case.channels, case.order)),
    )


def expanded(frames: Array, length: int, hop: int, offset: int, interpolation: str) -> Array:
    """Return the coefficients (…, T, taps) of frames (…, F, taps)."""
    rows = []
    for t in range(length):
        at, within = divmod(t + offset, hop)
        own = frames[..., at, :]
        after = frames[..., min(at + 1, frames.shape[-2] - 1), :]
        rows.append(own + (within / hop) * (after - own) if interpolation == "linear" else own)
    return np.stack(rows, axis=-2)


def in_layout(array: Array, layout: Any, after: int = 0) -> Array:
    """Return an array of layout BCT in another, in memory of its own."""
    return np.ascontiguousarray(from_channels_time(array, layout, after))
