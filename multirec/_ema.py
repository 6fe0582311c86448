"""Exponentially weighted means with gaps, as pandas has them: the weights by one scan, the means by another."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any, TypeAlias

from ._core.arrays import family_of, is_traced, name_of, spec_of
from ._core.axes import cast_to, namespace, zeros
from ._core.coefficients import cast_hint
from ._core.problem import FLOATING_DTYPES, ComputeDtype, Layout, join_shape, split_shape
from ._core.time_axis import TimeAxis
from ._engine.precision import can_widen
from ._recurrence import recurrence
from ._scan import scan
from .errors import ArgumentError, AxisError, DtypeError, ShapeError

Array: TypeAlias = Any


def ema(
    x: Array,
    *,
    alpha: float | None = None,
    span: float | None = None,
    com: float | None = None,
    halflife: float | None = None,
    adjust: bool = True,
    ignore_na: bool = False,
    axis: int = -1,
    backend: str = "auto",
) -> Array:
    """Return the exponentially weighted mean of the samples so far, that of pandas' ``ewm(...).mean()``.

    A sample that is k steps old has the weight (1 − alpha)ᵏ, and weights are divided by their sum. NaN, or an infinity,
    is a gap: it has no weight, and the mean there is the one before it, or NaN where there was none yet.

    Parameters
    ----------
    x
        Array of NumPy, torch, JAX or CuPy, real.
    alpha, span, com, halflife
        One of them: the weight of the newest sample, 0 < alpha ≤ 1; or alpha = 2 / (span + 1), alpha = 1 / (1 + com),
        or alpha = 1 − 2^(−1 / halflife), the age at which a weight is half.
    adjust
        False is y[t] = (1 − alpha) · y[t−1] + alpha · x[t] from y[0] = x[0]: the first sample counts as if all before
        it had been the same. After a gap of k steps y[t−1] has the weight (1 − alpha)ᵏ⁺¹ beside alpha. (pandas says so;
        from 3.0 on it computes another weight where alpha is exactly 0.5, see its issue 66523.)
    ignore_na
        Ages are counted in steps, gaps included; True counts samples alone.
    axis
        Which axis is time. Rows of a data frame are axis 0.
    backend
        As in `recurrence`.

    Returns
    -------
    Array
        Of x's shape, library and data type, with gradients that are 0 at gaps. It is computed in float64 where x's
        library and device have it.

    Raises
    ------
    MultirecError
        None or several of alpha, span, com and halflife, one out of its range, or x that is no array of real numbers.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> mr.ema(np.array([1.0, np.nan, 4.0]), alpha=0.5)
    array([1. , 1. , 3.4])
    >>> mr.ema(np.array([1.0, np.nan, 4.0]), alpha=0.5, ignore_na=True)
    array([1., 1., 3.])
    """
    alpha = _alpha_of(alpha=alpha, span=span, com=com, halflife=halflife)
    time = _time_of(x, axis)
    layout, dtype = time.layout, name_of(x.dtype)
    wide: ComputeDtype = "float64" if dtype == "float64" or can_widen(x, backend) else "float32"
    gaps = None if _is_whole(x) else ~namespace(x).isfinite(x)
    batch, _, length = split_shape(tuple(time.view(x).shape), layout)
    if gaps is None:
        seen = zeros(x, join_shape((1,) * len(batch), 1, length, layout), wide) + 1
    else:
        seen, x = cast_to(time.view(~gaps), wide), namespace(x).where(gaps, zeros(x, ()), x)
    choices: dict[str, Any] = {"layout": layout, "backend": backend}
    share = (_adjusted if adjust else _recursive)(seen, alpha, ignore_na, choices)
    taps = {"feedforward": share[..., None], "feedback": (1 - share)[..., None]}
    y, _ = recurrence(time.view(x), **taps, **choices, compute_dtype=wide)
    y = time.restore(y)
    return y if gaps is None else _without_start(y, gaps, time.axis)


def _adjusted(seen: Array, alpha: float, ignore_na: bool, choices: dict[str, Any]) -> Array:
    """Return which share of the mean each new sample has, 0 at gaps, where the first sample has weight 1."""
    total, _ = scan(1 - alpha * seen if ignore_na else 1 - alpha, seen, **choices)
    # 1 more where there is no sample, and the sum of weights may be 0
    total += 1
    total -= seen
    seen /= total
    return seen


def _recursive(seen: Array, alpha: float, ignore_na: bool, choices: dict[str, Any]) -> Array:
    """Return which share of the mean each new sample has, 0 at gaps, where the mean so far has weight 1."""
    kept, before = 1 - alpha, _delayed(seen, choices["layout"])
    gates = 1 - before if ignore_na else kept - kept * before
    before *= kept
    old, _ = scan(gates, before, **choices)
    old += alpha
    seen *= alpha
    seen /= old
    return seen


def _delayed(signal: Array, layout: Layout) -> Array:
    """Return a signal one step later, from 0 on."""
    axis = {"BCT": -1, "BTC": -2, "TBC": 0}[layout]
    place: list[Any] = [slice(None)] * signal.ndim
    place[axis] = slice(1)
    first = 0 * signal[tuple(place)]
    place[axis] = slice(-1)
    library = namespace(signal)
    join = library.cat if library.__name__ == "torch" else library.concatenate
    return join((first, signal[tuple(place)]), axis)


def _without_start(y: Array, gaps: Array, axis: int) -> Array:
    """Return y with NaN before the first sample that is no gap."""
    library = namespace(y)
    length, places = gaps.shape[axis], (slice(None),) * axis
    if not length or (_is_seen(gaps) and not gaps[(*places, 0)].any()):
        return y
    # torch has no argmin of booleans
    first = cast_to(gaps, "uint8").argmin(axis)
    first = library.where(gaps.all(axis), length, first)
    steps = library.arange(length, device=y.device) if library.__name__ == "torch" else library.arange(length)
    steps = steps.reshape([-1] + [1] * (y.ndim - 1 - axis))
    return library.where(steps < first[(*places, None)], math.nan, y)


def _is_whole(x: Array) -> bool:
    """Whether x is known to have no gaps: where looking at it costs one pass and waits for no device."""
    if not _is_seen(x) or 0 in x.shape:
        return False
    library = namespace(x)
    return bool(library.isfinite(x.min()) and library.isfinite(x.max()))


def _is_seen(x: Array) -> bool:
    """Whether values may be looked at without waiting for a device."""
    return not is_traced(x) and spec_of(x, "x").device == "cpu"


def _time_of(x: Array, axis: int) -> TimeAxis:
    family_of(x)
    dtype = name_of(x.dtype)
    if dtype not in FLOATING_DTYPES or dtype.startswith("complex"):
        raise DtypeError(
            f"x has dtype {dtype}; a mean is taken of real numbers. Pass {cast_hint('x', spec_of(x, 'x'))}."
        )
    axis, rank = operator.index(axis), x.ndim
    if rank == 0:
        raise ShapeError("x is one number, and means run along an axis. Pass an array with one.")
    if not -rank <= axis < rank:
        raise AxisError(f"axis is {axis}, and x of shape {tuple(x.shape)} has {rank} axes.")
    return TimeAxis(axis % rank, rank)


_ALPHA: dict[str, tuple[str, Callable[[float], float | None]]] = {
    "alpha": ("0 < alpha ≤ 1", lambda alpha: alpha if 0 < alpha <= 1 else None),
    "span": ("at least 1 and finite", lambda span: 2 / (span + 1) if span >= 1 else None),
    "com": ("at least 0 and finite", lambda com: 1 / (1 + com) if com >= 0 else None),
    "halflife": ("above 0 and finite", lambda halflife: -math.expm1(-math.log(2) / halflife) if halflife > 0 else None),
}


def _alpha_of(**given: float | None) -> float:
    """Return alpha, however it was said."""
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) != 1:
        got = " and ".join(named) or "none of them"
        raise ArgumentError(f"ema takes one of alpha, span, com and halflife, got {got}.")
    ((name, value),) = named.items()
    if not isinstance(value, Real):
        raise ArgumentError(
            f"{name} is a {type(value).__module__}.{type(value).__qualname__}, expected a number. A mean whose weights "
            "are learned is a scan: mr.scan(1 - alpha, alpha * x, initial=…)."
        )
    in_range, formula = _ALPHA[name]
    alpha = formula(value) if math.isfinite(value) else None
    if alpha is None:
        raise ArgumentError(f"{name} is {value}; it is {in_range}.")
    return float(alpha)
