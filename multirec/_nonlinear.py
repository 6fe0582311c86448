"""`envelope`, and the recurrences of independent units and of SRU, for every array library that has them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ._activated.bound import call_of
from ._activated.call import Given, marks_in, operands_in, results_out
from ._activated.check import as_activation
from ._activated.launch import launcher_for
from ._core.arrays import family_of
from ._core.problem import Layout
from ._core.validate import Choices, as_choices
from ._sequences.marks import marks_of

Array: TypeAlias = Any

__all__ = ["envelope", "independent", "sru"]


def independent(
    x: Array,
    feedback: Array,
    state: Array | None = None,
    *,
    activation: str = "tanh",
    layout: Layout = "BCT",
    reverse: bool = False,
    resets: Array | None = None,
    lengths: Array | None = None,
    cu_seqlens: Array | None = None,
    backend: str = "auto",
) -> tuple[Array, Array]:
    """Run independent recurrent units: h[t] = activation(x[t] + Σ_k feedback[k-1]·h[t-k]).

    Parameters
    ----------
    x, layout, reverse, resets, lengths, cu_seqlens, backend
        As in `multirec.recurrence`; x is real.
    feedback
        (C, p) or (1, p), p ≥ 1.
    state
        The last p outputs, in the layout with an axis of time of p; None is zeros. With cu_seqlens one a sequence.
    activation
        ``"identity"``, ``"relu"``, ``"tanh"`` or ``"sigmoid"``.

    Returns
    -------
    tuple
        h, as x; and the state after the block, of x's data type, or float32 where x is of a half type.

    Notes
    -----
    Order 1 is the unit of Li, Li, Cook, Zhu and Gao, Independently recurrent neural network (IndRNN), CVPR 2018.
    """
    choices = as_choices(layout, reverse, backend, None)
    given = Given((x,), (feedback,), state)
    return _run("independent", given, as_activation(activation), 1.0, choices, resets, lengths, cu_seqlens)


def sru(
    u: Array,
    weight: Array,
    bias: Array,
    state: Array | None = None,
    *,
    highway: Array | None = None,
    scale: float = 1.0,
    activation: str = "identity",
    layout: Layout = "BCT",
    reverse: bool = False,
    resets: Array | None = None,
    lengths: Array | None = None,
    cu_seqlens: Array | None = None,
    backend: str = "auto",
) -> tuple[Array, Array]:
    """Run simple recurrent units whose gates read their state.

    ::

        f = σ(uf[t] + weight[0]·c[t-1] + bias[0])    c[t] = ux[t] + f·(c[t-1] - ux[t])
        r = σ(ur[t] + weight[1]·c[t-1] + bias[1])    h[t] = w + r·(activation(c[t]) - w),  w = scale·highway[t]

    Parameters
    ----------
    u
        In the layout, with 3·C or 4·C channels: ux, uf, ur, and perhaps the highway, one after the other.
    weight, bias
        (2, C): of f, and of r.
    state
        c before the block, (batch…, C); None is zeros. With cu_seqlens one a sequence.
    highway
        A signal of C channels where u has 3·C; None is w = 0. Of u's data type, or float32 where that is a half type.
    scale
        What the highway is multiplied by.
    activation, layout, reverse, resets, lengths, cu_seqlens, backend
        As in `independent`.

    Returns
    -------
    tuple
        h, and c after the block, in float32 where u is of a half type.

    Notes
    -----
    Lei, Zhang, Wang, Dai and Artzi, Simple recurrent units for highly parallelizable recurrence, EMNLP 2018.
    """
    choices = as_choices(layout, reverse, backend, None)
    given = Given((u,) if highway is None else (u, highway), (weight, bias), state)
    own = as_activation(activation)
    return _run("sru", given, own, float(scale), choices, resets, lengths, cu_seqlens)


def envelope(
    x: Array,
    attack: Array | float,
    release: Array | float,
    state: Array | None = None,
    *,
    layout: Layout = "BCT",
    reverse: bool = False,
    resets: Array | None = None,
    lengths: Array | None = None,
    cu_seqlens: Array | None = None,
    backend: str = "auto",
) -> tuple[Array, Array]:
    """Follow the envelope of a level, as compressors and meters do: by one coefficient up, by another down.

    y[t] = y[t-1] + g·(x[t] - y[t-1]), where g is `attack` if x[t] > y[t-1], and else `release`. It does not rectify: of
    a waveform, pass the magnitude, the square or the level in decibels.

    Parameters
    ----------
    x
        What is followed: real, in the layout.
    attack, release
        How much of the way to x[t] one sample goes: 1 is all of it, 0 none. With a time constant of τ seconds, in which
        63 % of a step is made, it is 1 - exp(-1 / (τ·rate)). Each is a number, (C,), (batch…, C), or has all axes of x,
        each its size or 1, and so varies along time. Values are not checked: above 1 y overshoots, and below 0 or above
        2 it grows without bound.
    state
        y before the block, (batch…, C); None is zeros. With cu_seqlens one a sequence.
    layout, reverse, resets, lengths, cu_seqlens, backend
        As in `multirec.recurrence`.

    Returns
    -------
    tuple
        y, as x; and y after the block, (batch…, C), of x's data type, or float32 where x is of a half type.

    Raises
    ------
    MultirecError
        As in `multirec.recurrence`; arrays of JAX are not taken.

    Notes
    -----
    The derivative is that of the branch which was taken: release's where x[t] = y[t-1]. A NaN in x stays in y until the
    next reset.

    It is the smooth, branching detector of Giannoulis, Massberg and Reiss, Digital dynamic range compressor design: a
    tutorial and analysis, Journal of the Audio Engineering Society 60 (2012).

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> y, state = mr.envelope(np.array([[1.0, 1.0, 0.0, 0.0]]), attack=0.5, release=0.25)
    >>> y
    array([[0.5     , 0.75    , 0.5625  , 0.421875]])

    Of a burst of sound, with time constants of 5 ms up and 100 ms down:

    >>> rate = 8000
    >>> attack, release = (1 - np.exp(-1 / (seconds * rate)) for seconds in (0.005, 0.1))
    >>> burst = np.sin(np.arange(1600)) * (np.arange(1600) < 800)
    >>> level, _ = mr.envelope(np.abs(burst[None]), attack, release)
    >>> bool(np.isclose(level[0, -1], level[0, 799] * np.exp(-1)))
    True
    """
    choices = as_choices(layout, reverse, backend, None)
    coefficients = tuple(np.float64(part) if isinstance(part, int | float) else part for part in (attack, release))
    given = Given((x,), tuple(np.asarray(part) if np.isscalar(part) else part for part in coefficients), state)
    return _run("envelope", given, "identity", 1.0, choices, resets, lengths, cu_seqlens)


def _run(kind: Any, given: Given, activation: Any, scale: float, choices: Choices, *parts: Any) -> tuple[Array, Array]:
    marks = marks_of(*parts)
    if family_of(given.signals[0]) == "torch":
        from ._torch.activated import run

        return run(kind, given, activation, scale, choices, marks)
    call = call_of(kind, given, activation, scale, choices, marks)
    y, state, _ = launcher_for(call, choices.backend).forward(operands_in(call, given), marks_in(call, marks))
    return results_out(call, y, state)
