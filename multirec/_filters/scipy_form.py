"""Banks as SciPy writes them: NumPy's arrays of transfer functions and of second-order sections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._core.arrays import family_of
from ..errors import ShapeError
from .design import Taps

__all__ = ["ba_of", "on_host", "sos_of"]

Array: TypeAlias = Any
Design: TypeAlias = npt.NDArray[Any]


def ba_of(taps: Taps) -> tuple[Design, Design]:
    """Return (b (…, C, q+1), a (…, C, p+1)) of coefficients, with a[..., 0] = 1, in double precision."""
    feedback, feedforward = (None if part is None else on_host(part) for part in taps)
    b = np.ones((1, 1)) if feedforward is None else feedforward
    tail = np.zeros((1, 0)) if feedback is None else -feedback
    lead = np.broadcast_shapes(b.shape[:-1], tail.shape[:-1])
    b, tail = (np.broadcast_to(part, (*lead, part.shape[-1])) for part in (b, tail))
    return b.copy(), np.concatenate([np.ones((*lead, 1)), tail], axis=-1)


def sos_of(pairs: Iterable[tuple[Design, Design]]) -> Design:
    """Return sections (…, C, S, 6) of each one's (b, a), of up to three taps each."""
    rows = []
    for index, (b, a) in enumerate(pairs):
        if max(b.shape[-1], a.shape[-1]) > 3:
            raise ShapeError(
                f"section {index} has b of shape {b.shape} and a of shape {a.shape}: second-order sections have up to "
                "3 taps. Use the ba() of each section."
            )
        rows.append(np.concatenate([_three(b), _three(a)], axis=-1))
    return np.stack(np.broadcast_arrays(*rows), axis=-2)


def _three(taps: Design) -> Design:
    return np.pad(taps, [(0, 0)] * (taps.ndim - 1) + [(0, 3 - taps.shape[-1])])


def on_host(array: Array) -> Design:
    """Return a copy or view of numbers in NumPy, in double precision."""
    family = family_of(array)
    if family == "torch":
        array = (array if array.is_complex() else array.double()).numpy(force=True)
    elif family == "cupy":
        array = array.get()
    numbers: Design = np.asarray(array)
    return numbers.astype(np.complex128 if np.iscomplexobj(numbers) else np.float64)
