"""The recurrence and its adjoint sample by sample, in any one precision; many rows at once.

Every other way of computing is judged by this one: its errors in the data's own precision are what a filter costs
anyway, and in a wider precision it is the truth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .problems import Wide, round_to

__all__ = ["Rows", "Stepped", "step"]


class Rows(NamedTuple):
    """A problem for each row, with time running forward; R rows, T samples.

    Attributes
    ----------
    x, grad_y
        (R, T).
    feedforward, feedback
        (R, q + 1) and (R, p), or (R, T, q + 1) and (R, T, p) where they vary along time.
    inputs, outputs, grad_inputs, grad_outputs
        The state before the block, and the gradient of the one returned: (R, q) and (R, p), ascending in time.
    """

    x: Wide
    feedforward: Wide
    feedback: Wide
    inputs: Wide
    outputs: Wide
    grad_y: Wide
    grad_inputs: Wide
    grad_outputs: Wide


class Stepped(NamedTuple):
    """What a problem gives; gradients of the coefficients are (R, T, taps), or (R, taps) summed over time."""

    y: Wide
    outputs: Wide
    grad_x: Wide
    grad_feedforward: Wide
    grad_feedback: Wide
    grad_inputs: Wide
    grad_outputs: Wide


def step(
    rows: Rows,
    precision: Any,
    *,
    stored: str | None = None,
    varies: bool = False,
    descending: bool = False,
    fused: Any = None,
) -> Stepped:
    """Compute every row in `precision`; signals are rounded to the data type `stored` where they are kept.

    The gradient of feedback comes of y as it is kept. With `varies` the coefficients' gradients are not summed. With
    `descending` the largest lag comes first, and x last. A multiplication and the addition of its product are two
    operations, or one that is computed in the wider precision `fused`.
    """

    def kept(signal: Wide) -> Wide:
        if stored is None:
            return signal
        with np.errstate(over="ignore"):
            return round_to(signal, stored).astype(precision)

    x, b, a, inputs, outputs, grad_y, grad_inputs, grad_outputs = (np.asarray(part, precision).T for part in rows)
    q, p, length = len(inputs), len(outputs), len(x)
    whole_x = np.concatenate([inputs, x])
    driven = b[0] * whole_x[q:]
    for j in range(1, q + 1):
        driven = _add_product(driven, b[j], whole_x[q - j : q - j + length], fused)
    # the state that is returned begins in the past where there are fewer samples than lags
    to_past = np.zeros_like(grad_outputs)
    to_past[length:] = grad_outputs[: max(p - length, 0)]
    grad_y = grad_y.copy()
    grad_y[max(length - p, 0) :] += grad_outputs[max(p - length, 0) :]

    # the adjoint is the same recurrence over reversed time
    both = _fed_back(
        np.concatenate([driven, grad_y[::-1]], 1),
        np.concatenate([a, _seen_backwards(a).conj()], -1),
        np.concatenate([outputs, np.zeros_like(outputs)], 1),
        descending,
        fused,
    )
    del driven, grad_y
    whole_y, adjoint = both[:, : x.shape[1]], both[p:, x.shape[1] :][::-1]
    last = whole_y[length:].copy()
    whole_y[p:] = kept(whole_y[p:])

    to_x = np.zeros_like(whole_x)
    for j in range(q + 1):
        to_x[q - j : q - j + length] += b[j].conj() * adjoint
    to_x[length:] += grad_inputs
    for k in range(1, p + 1):
        reached = adjoint[: min(k, length)]
        own = a[k - 1, : len(reached)] if a.ndim == 3 else a[k - 1]
        to_past[p - k : p - k + len(reached)] += own.conj() * reached

    def of_taps(signal: Wide, first: int, count: int) -> Wide:
        if not count:
            return np.zeros((x.shape[1], length, 0) if varies else (x.shape[1], 0), precision)
        products = (adjoint * signal[first - k : first - k + length].conj() for k in range(count))
        # over the first axis NumPy adds one sample after the other
        return np.stack([each.T if varies else each.sum(0) for each in products], -1)

    to_b = of_taps(whole_x, q, q + 1)
    to_a = of_taps(whole_y, p - 1, p)
    return Stepped(whole_y[p:].T, last.T, kept(to_x[q:]).T, to_b, to_a, kept(to_x[:q]).T, to_past.T)


def _seen_backwards(a: Wide) -> Wide:
    """Return the coefficients of the adjoint, which takes what a later sample takes from this one."""
    if a.ndim == 2:
        return a
    later = np.zeros_like(a)
    for lag, own in enumerate(a, 1):
        later[lag - 1, : max(own.shape[0] - lag, 0)] = own[lag:]
    return later[:, ::-1]


def _add_product(total: Wide, one: Wide, other: Wide, fused: Any) -> Wide:
    if fused is None:
        added: Wide = total + one * other
        return added
    rounded: Wide = (total + one.astype(fused) * other).astype(total.dtype)
    return rounded


def _fed_back(driven: Wide, a: Wide, past: Wide, descending: bool, fused: Any) -> Wide:
    """Return past and block of y[t] = driven[t] + Σ a[k − 1] y[t − k]; time is the first axis."""
    length, p = len(driven), len(past)
    # backwards in memory, so that what stands behind a sample in time lies after it
    y = np.empty((length + p, driven.shape[1]), driven.dtype)
    y[length:] = past[::-1]
    terms = np.empty((p + 1, driven.shape[1]), driven.dtype)
    for t in range(length):
        at = length - 1 - t
        taps = a[:, t] if a.ndim == 3 else a
        if fused is None:
            terms[0] = driven[t]
            np.multiply(taps, y[at + 1 : at + 1 + p], out=terms[1:])
            np.add.reduce(terms[::-1] if descending else terms, axis=0, out=y[at])
        else:
            y[at] = driven[t]
            for k in range(p):
                y[at] = _add_product(y[at], taps[k], y[at + 1 + k], fused)
    return y[::-1]
