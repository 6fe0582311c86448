"""The derivatives of a recurrence, written with array operations and the recurrence itself.

With λ the recurrence run over reversed time on the gradient of y,

    λ[t] = gy[t] + Σ_k conj(a_k[t+k]) λ[t+k]
    grad x[t] = Σ_j conj(b_j[t+j]) λ[t+j]
    grad b_j[t] = λ[t] conj(x[t-j])        grad a_k[t] = λ[t] conj(y[t-k])

and the parts that fall before the block are the gradients of the state. The same formulas serve every
array library, every order of differentiation, and every backend that gives only forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .._core.arrays import name_of
from .._core.axes import cast_to, concatenate, namespace, zeros
from .._core.problem import in_precision
from ..backend import Gradients, Needs, Operands

Array: TypeAlias = Any
_PART, _PARTS = 1 << 18, 16
"""Samples that are summed at once at least, and parts of the time at most."""

Run: TypeAlias = Callable[[Operands, bool], Array]
"""Computes y of canonical operands; the second argument is `reverse`."""


def gradients(run: Run, operands: Operands, y: Array, grad_y: Array, needs: Needs, reverse: bool) -> Gradients:
    """Return the adjoint of the recurrence applied to `grad_y`, in canonical shapes.

    `needs` says which gradients to compute; `y` is looked at only for that of feedback.
    """
    x, b, a, inputs, outputs = operands
    length, channels = x.shape[-1], x.shape[1]
    p = 0 if a is None else a.shape[-1]
    q = 0 if b is None else b.shape[-1] - 1
    lam = grad_y
    if a is not None and p:
        lam = run(Operands(grad_y, None, _advanced(a.conj(), reverse), None, None), not reverse)
    grad_x = grad_inputs = grad_b = grad_a = grad_outputs = None
    if needs.x or needs.inputs:
        parts = [lam] if b is None else [b[..., j].conj() * lam for j in range(q + 1)]
        whole = _total([_spread(_to_channels(part, channels), j, q, reverse) for j, part in enumerate(parts)])
        grad_inputs, grad_x = _split(_like(whole, x), q, reverse)
    if needs.feedforward and b is not None:
        history = _extended(x, inputs, q, reverse)
        grad_b = _like(_stack(_correlated(lam, history, range(q + 1), q, reverse, b), b), b)
    if needs.feedback and a is not None:
        history = _extended(y, outputs, p, reverse)
        grad_a = _like(_stack(_correlated(lam, history, range(1, p + 1), p, reverse, a), a), a)
    if needs.outputs:
        # only the first p steps look back before the block
        first = lam[..., max(length - p, 0) :] if reverse else lam[..., :p]
        parts = [_tap(a, k - 1, first.shape[-1], reverse).conj() * first for k in range(1, p + 1)]
        reach = [_spread(part, k, p, reverse) for k, part in enumerate(parts, 1)]
        grad_outputs = _split(_total(reach), p, reverse)[0] if reach else zeros(lam, (*lam.shape[:-1], 0))
    return Gradients(grad_x, grad_b, grad_a, grad_inputs, grad_outputs)


def tangent(run: Run, operands: Operands, tangents: Operands, y: Array, reverse: bool) -> Array:
    """Return the directional derivative of y along `tangents` (None where an operand does not move)."""
    x, b, a, inputs, outputs = operands
    dx, db, da, d_inputs, d_outputs = tangents
    length, p = x.shape[-1], 0 if a is None else a.shape[-1]
    q = 0 if b is None else b.shape[-1] - 1
    drive = zeros(y, y.shape)
    if dx is not None or d_inputs is not None:
        moved = _extended(zeros(x, x.shape) if dx is None else dx, d_inputs, q, reverse)
        for j in range(q + 1):
            lagged = _lagged(moved, j, q, length, reverse)
            drive = drive + (lagged if b is None else b[..., j] * lagged)
    if db is not None:
        history = _extended(x, inputs, q, reverse)
        for j in range(q + 1):
            drive = drive + db[..., j] * _lagged(history, j, q, length, reverse)
    if da is not None:
        history = _extended(y, outputs, p, reverse)
        for k in range(1, p + 1):
            drive = drive + da[..., k - 1] * _lagged(history, k, p, length, reverse)
    if a is None:
        return drive
    return run(Operands(drive, None, a, None, d_outputs), reverse)


def _extended(signal: Array, past: Array | None, count: int, reverse: bool) -> Array:
    """Return past and block along one time axis, ascending in memory."""
    if not count:
        return signal
    past = zeros(signal, (*signal.shape[:-1], count)) if past is None else past
    return concatenate((signal, past) if reverse else (past, signal))


def _lagged(extended: Array, lag: int, count: int, length: int, reverse: bool) -> Array:
    """View signal[t - lag] for every t of the block (t + lag when time runs backwards)."""
    start = lag if reverse else count - lag
    return extended[..., start : start + length]


def _spread(part: Array, lag: int, count: int, reverse: bool) -> Array:
    """Return part[t] at place t - lag of an axis of past and block; the transpose of `_lagged`."""
    if not count:
        return part
    before, after = (lag, count - lag) if reverse else (count - lag, lag)
    lead = part.shape[:-1]
    return concatenate((zeros(part, (*lead, before)), part, zeros(part, (*lead, after))))


def _split(extended: Array, count: int, reverse: bool) -> tuple[Array, Array]:
    """Split an axis of past and block into (past, block)."""
    length = extended.shape[-1] - count
    if reverse:
        return extended[..., length:], extended[..., :length]
    return extended[..., :count], extended[..., count:]


def _advanced(taps: Array, reverse: bool) -> Array:
    """Return taps[t + k] for the k-th tap: in the adjoint, coefficients belong to the sample they fed."""
    length = taps.shape[2]
    if length == 1:
        return taps
    columns = []
    for k in range(1, taps.shape[3] + 1):
        column, shift = taps[..., k - 1], min(k, length)
        gap = zeros(column, (*column.shape[:-1], shift))
        kept = column[..., : length - shift] if reverse else column[..., shift:]
        columns.append(concatenate((gap, kept) if reverse else (kept, gap)))
    return _stack(columns, taps)


def _tap(taps: Array, index: int, count: int, reverse: bool) -> Array:
    """View one tap over the first `count` steps of the running order."""
    column, length = taps[..., index], taps.shape[2]
    if length == 1:
        return column
    return column[..., length - count :] if reverse else column[..., :count]


def _correlated(lam: Array, history: Array, lags: range, count: int, reverse: bool, taps: Array) -> list[Array]:
    """Return λ[t] · conj(signal[t - lag]) for each lag, summed over the axes along which the taps are constant."""
    if taps.shape[2] == 1:
        totals = _dotted(lam, history, lags, count, reverse)
    else:
        totals = [lam * _lagged(history, lag, count, lam.shape[-1], reverse).conj() for lag in lags]
    for axis in (0, 1, 2):
        totals = [
            total.sum(axis, keepdims=True) if taps.shape[axis] == 1 and total.shape[axis] != 1 else total
            for total in totals
        ]
    return totals


def _dotted(lam: Array, history: Array, lags: range, count: int, reverse: bool) -> list[Array]:
    """Return Σ λ[t] · conj(signal[t - lag]) over time for each lag, in float64 where there is such, else in pairs.

    A part of the time at once: no array of y's size is made.
    """
    batch, channels, length = lam.shape
    size = max(-(-length // _PARTS), -(-_PART // max(batch * channels, 1)))
    sums: list[list[Array]] = [[] for _ in lags]
    for start in range(0, max(length, 1), size):
        narrow = lam[..., start : start + size]
        part, past = _double(narrow), _double(history[..., start : start + size + count].conj())
        dots = narrow.dtype != part.dtype == past.dtype
        for of_lag, lag in zip(sums, lags, strict=True):
            signal = _lagged(past, lag, count, part.shape[-1], reverse)
            of_lag.append(_dot(part, signal) if dots else (part * signal).sum(-1, keepdims=True))
    return [cast_to(_total(parts), name_of(lam.dtype)) for parts in sums]


def _dot(lam: Array, signal: Array) -> Array:
    library = namespace(lam)
    return library.einsum("bct,bct->bc", lam, library.broadcast_to(signal, lam.shape))[..., None]


def _double(array: Array) -> Array:
    if name_of(array.dtype) in ("float128", "complex256"):
        return array
    library = namespace(array)
    # JAX may be without float64, and mps is
    has = library.result_type(float) == "float64" if library.__name__ == "jax.numpy" else "mps" not in str(array.device)
    return cast_to(array, in_precision(name_of(array.dtype), "float64")) if has else array


def _to_channels(part: Array, channels: int) -> Array:
    return part if part.shape[1] == channels else part.sum(1, keepdims=True)


def _total(parts: list[Array]) -> Array:
    total = parts[0] if parts else None
    for part in parts[1:]:
        total = total + part
    return total


def _stack(columns: list[Array], like: Array) -> Array:
    return namespace(like).stack(columns, -1) if columns else zeros(like, like.shape)


def _like(gradient: Array, operand: Array) -> Array:
    """Return the gradient of a real operand as its real part."""
    is_complex = "complex" in str(gradient.dtype) and "complex" not in str(operand.dtype)
    return gradient.real if is_complex else gradient
