"""Frames expanded to the coefficients of samples, a chunk of frames at a time: for every library and derivative."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import name_of
from .._core.axes import at_times, cast_to, from_channels_time, namespace, to_channels_time
from .._core.problem import in_precision
from .._core.state import State
from .._core.validate import Call, Choices
from .._recurrence import run
from .framing import Framing, frames_needed

Array: TypeAlias = Any

__all__ = ["TIME_AXIS", "framed", "joined"]

_MOST = 1 << 22
"""Expanded coefficients that there are at a time, if one frame has no more."""
TIME_AXIS = {"BCT": -1, "BTC": -2, "TBC": 0}


def framed(arrays: tuple[Array | None, ...], framing: Framing, call: Call, choices: Choices) -> tuple[Array, State]:
    """Return y and the state of (x, feedforward, feedback, inputs, outputs)."""
    x: Array = arrays[0]
    _, *taps, inputs, outputs = arrays
    (hop, _, offset), layout, length = framing, choices.layout, call.problem.length
    choices = choices._replace(compute_dtype=call.problem.compute_dtype)
    rows = [None if part is None else _rows(part, call) for part in taps]
    size = sum(hop * prod(part.shape) // part.shape[-2] for part in rows if part is not None)
    count = max(_MOST // max(size, 1), 1)
    parts, state = [], State(inputs, outputs)
    for first in range(0, frames_needed(length, hop, offset), count):
        start = max(first * hop - offset, 0)
        stop = min((first + count) * hop - offset, length)
        at = offset - first * hop
        own = (
            None if part is None else _samples(part, first, count, framing)[..., start + at : stop + at, :]
            for part in rows
        )
        b, a = (None if part is None else from_channels_time(part, layout, after=1) for part in own)
        y, state = run((x[at_times(slice(start, stop), layout)], b, a, *state), choices)
        parts.append(y)
    return joined(parts, TIME_AXIS[layout]), state


def _rows(taps: Array, call: Call) -> Array:
    """Return frames as (batch…, C, F, taps) in the precision that is computed in."""
    own = to_channels_time(taps, call.problem.layout, after=1)
    return cast_to(own, in_precision(name_of(own.dtype), call.problem.compute_dtype))


def _samples(rows: Array, first: int, count: int, framing: Framing) -> Array:
    """Return the coefficients of the samples of `count` frames from `first` on, or of as many as there are."""
    hop, linear, _ = framing
    library = namespace(rows)
    own = rows[..., first : first + count, :]
    shape = *own.shape[:-1], hop, own.shape[-1]
    if linear:
        after = rows[..., first + 1 : first + count + 1, :]
        if after.shape[-2] < own.shape[-2]:
            after = joined([after, rows[..., -1:, :]], -2)
        found = own[..., None, :] + _weights(hop, rows) * (after - own)[..., None, :]
    else:
        found = library.broadcast_to(own[..., None, :], shape)
    return found.reshape((*shape[:-3], shape[-3] * hop, shape[-1]))


def _weights(hop: int, like: Array) -> Array:
    """Return (hop, 1), how far each sample is on its way to the next frame."""
    library, dtype = namespace(like), name_of(like.dtype)
    real = "float64" if dtype in ("float64", "complex128") else "float32"
    weights = (np.arange(hop) / hop).astype(real)[:, None]
    return library.as_tensor(weights, device=like.device) if hasattr(like, "new_zeros") else library.asarray(weights)


def joined(parts: list[Array], axis: int) -> Array:
    """Join arrays along an axis."""
    if len(parts) == 1:
        return parts[0]
    library = namespace(parts[0])
    join = library.cat if library.__name__ == "torch" else library.concatenate
    return join(parts, axis)
