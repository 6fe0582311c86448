"""Gustafsson's method: initial states for which filtering forwards-backwards and backwards-forwards agree.

F. Gustafsson, Determining the initial states in forward-backward filtering, IEEE Transactions on Signal Processing 44
(1996), 988-992. The letters are the paper's; O_ is O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from .._sections import filtered
from ..errors import ArgumentError
from ._arrays import Array
from ._coefficients import Transfer

__all__ = ["gustafsson"]

Run: TypeAlias = Callable[..., Array]


def gustafsson(filters: Transfer, x: Array, irlen: int | None, backend: str) -> tuple[Array, Array, Array]:
    """Return y (…, C, T) of x (…, C or 1, T), and the memories (…, C, n) of the forward and the backward filter."""
    if irlen is not None and irlen < 1:
        raise ArgumentError(f"irlen is how many samples the impulse response lasts, 1 or more, or None, got {irlen}.")
    if filters.filters == 1:
        return _with_one(filters.feedforward, filters.feedback, filters.order, x, irlen, backend)
    found = []
    for place in range(filters.filters):
        b, a = (
            None if taps is None else taps[place if len(taps) > 1 else 0][None]
            for taps in (filters.feedforward, filters.feedback)
        )
        channel = place if x.shape[-2] > 1 else 0
        found.append(_with_one(b, a, filters.order, x[..., channel : channel + 1, :], irlen, backend))
    y, forward, backward = (np.concatenate(parts, axis=-2) for parts in zip(*found, strict=True))
    return y, forward, backward


def _with_one(
    b: Array, a: Array | None, order: int, x: Array, irlen: int | None, backend: str
) -> tuple[Array, Array, Array]:
    def run(signal: Array, reverse: bool = False) -> Array:
        return filtered(signal, b, a, reverse=reverse, backend=backend)[0]

    y = run(run(x), True)
    length = x.shape[-1]
    if not order or not length:
        nothing = np.zeros((*x.shape[:-1], order), y.dtype)
        return y, nothing, nothing
    difference = run(run(x, True)) - y
    # a response that is over within half of x leaves its middle as it is
    reach = length if irlen is None or length <= 2 * irlen else irlen
    O_, S = _responses(a, order, reach, run, backend)
    O_R, S_R = O_[::-1], S[::-1]
    if reach == length:
        M, W = np.hstack([S_R - O_, O_R - S]), np.hstack([S_R, O_R])
    else:
        none = np.zeros_like(O_)
        M, W = np.block([[S_R - O_, none], [none, O_R - S]]), np.block([[S_R, none], [none, O_R]])
        difference = np.concatenate([difference[..., :reach], difference[..., -reach:]], axis=-1)
    columns = difference.reshape(-1, difference.shape[-1]).T
    memories = np.linalg.lstsq(M, columns, rcond=None)[0].T.reshape(*x.shape[:-1], 2 * order)
    added = memories @ W.T
    y[..., :reach] += added[..., :reach]
    if reach != length:
        y[..., -reach:] += added[..., -reach:]
    return y, memories[..., :order], memories[..., order:]


def _responses(a: Array | None, order: int, reach: int, run: Run, backend: str) -> tuple[Array, Array]:
    """Return (reach, n) what comes of each number of the memory: O, and filtered backwards in time, S."""
    impulses = np.eye(order, reach)[None]
    free = impulses if a is None else filtered(impulses, None, a, backend=backend)[0]
    return free[0].T, run(free[..., ::-1])[0].T
