"""`scan`, the gated recurrence of order 1: one line over `recurrence`, and its errors in the words of its callers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ._core.arrays import family_of, name_of
from ._core.axes import with_time, without_time
from ._core.problem import FLOATING_DTYPES, LAYOUT_AXES, ComputeDtype, Layout, split_shape
from ._core.state import State
from ._core.validate import as_layout
from ._recurrence import recurrence
from .errors import DtypeError, MultirecError, ShapeError

Array: TypeAlias = Any

_NUMBER = int, float, complex, np.number
_OWN_WORDS = {
    "such an x": "such values",
    "feedback": "gates",
    "state.outputs": "initial",
    "x's": "values'",
    "x": "values",
}
_WORDS = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in _OWN_WORDS))


def scan(
    gates: Array,
    values: Array,
    *,
    initial: Array | None = None,
    reverse: bool = False,
    resets: Array | None = None,
    lengths: Array | Sequence[int] | None = None,
    cu_seqlens: Array | Sequence[int] | None = None,
    compute_dtype: ComputeDtype | None = None,
    layout: Layout = "BTC",
    backend: str = "auto",
) -> tuple[Array, Array]:
    """Compute y[t] = gates[t] · y[t−1] + values[t] for every example and channel.

    It is `recurrence` of order 1 with ``feedback=gates[..., None]``: nothing is copied or expanded, and gradients reach
    gates, values and `initial`.

    Parameters
    ----------
    gates
        An array with the axes of values, each full or 1: along time, channels or batch. Or (C,), one number a channel;
        or one number. Of values' library, or of NumPy.
    values
        Array of NumPy, torch, JAX or CuPy in `layout`, with C channels, or 1 that serves all C.
    initial
        y before its first sample (after its last with `reverse`): y's shape without the time axis, where batch axes may
        be 1, in y's precision or the wider one of a state. None means zeros. With `cu_seqlens` (S, C), one a sequence.
    reverse
        Run time backwards: y[t] = gates[t] · y[t+1] + values[t].
    resets, lengths, cu_seqlens
        Several sequences in one row of time, as in `recurrence`: `resets` are booleans of values' axes but the
        channels, True where a sequence begins, so that y is values there; `lengths` (batch…) says where padding begins;
        `cu_seqlens` (S + 1) where each of S sequences begins, end to end in the one row of a batch of 1.
    compute_dtype, backend
        As in `recurrence`.
    layout
        ``"BTC"`` (batch…, time, channels), ``"BCT"`` or ``"TBC"``.

    Returns
    -------
    y
        In values' library, device and precision, contiguous in `layout`.
    last
        y's last sample, with `reverse` the one at t = 0: (batch…, C), in the precision it was computed in, which is
        float32 for half types. It is the next block's `initial`, with one entry a sequence for `cu_seqlens`.

    Raises
    ------
    MultirecError
        As in `recurrence`, of arrays that do not fit together.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> gates = np.array([[[0.5], [0.5], [0.0], [0.5]]])
    >>> y, last = mr.scan(gates, np.ones((1, 4, 1)), initial=np.array([[2.0]]))
    >>> y[0, :, 0], last
    (array([2. , 2. , 1. , 1.5]), array([[1.5]]))
    """
    layout = as_layout(layout)
    family_of(values, "values")
    taps, state = taps_of(gates, values, layout), past_of(initial, gates, values, layout)
    try:
        y, state = recurrence(
            values,
            feedback=taps,
            state=state,
            layout=layout,
            reverse=reverse,
            backend=backend,
            compute_dtype=compute_dtype,
            resets=resets,
            lengths=lengths,
            cu_seqlens=cu_seqlens,
        )
    except MultirecError as error:
        raise in_own_words(error, gates, values, initial, layout, cu_seqlens) from None
    return y, without_time(state.outputs, layout)


def taps_of(gates: Array, values: Array, layout: Layout) -> Array:
    """View gates as coefficients: (C, 1), or the axes of y and one tap."""
    if isinstance(gates, _NUMBER):
        # of double precision, as numbers are: half types would round them
        return np.array([[1.0 * gates]])
    family_of(gates, "gates")
    if gates.ndim == 0:
        return gates[None, None]
    if gates.ndim not in (1, values.ndim):
        raise _misfit_of_gates(gates, values, layout)
    return gates[..., None]


def past_of(initial: Array | None, gates: Array, values: Array, layout: Layout) -> State | None:
    """View the output before the block as a state."""
    if initial is None:
        return None
    family_of(initial, "initial")
    if initial.ndim != values.ndim - 1:
        raise _misfit_of_initial(initial, gates, values, layout)
    return State(None, with_time(initial, layout))


def in_own_words(
    error: MultirecError, gates: Array, values: Array, initial: Array, layout: Layout, cu_seqlens: Array | None
) -> MultirecError:
    """Return an error of the recurrence as one of the scan's arguments."""
    if values.ndim < 2:
        hint = " Pass values[:, None], and gates alike, for one channel." if values.ndim else ""
        return ShapeError(
            f"values has shape {tuple(values.shape)}; layout {layout!r} needs {LAYOUT_AXES[layout]}.{hint}"
        )
    if not isinstance(gates, _NUMBER) and name_of(gates.dtype) not in FLOATING_DTYPES:
        cast = "gates.to(values.dtype)" if hasattr(gates, "to") else "gates.astype(values.dtype)"
        return DtypeError(
            f"gates has dtype {name_of(gates.dtype)}; gates are {', '.join(FLOATING_DTYPES)}. Cast them, for example "
            f"{cast}."
        )
    if isinstance(error, ShapeError) and not _fits(gates, values, layout):
        return _misfit_of_gates(gates, values, layout)
    if isinstance(error, ShapeError) and "state.outputs has" in str(error):
        return _misfit_of_initial(initial, gates, values, layout, cu_seqlens)
    return type(error)(_WORDS.sub(lambda found: _OWN_WORDS[found[0]], str(error)))


def _fits(gates: Array, values: Array, layout: Layout) -> bool:
    """Whether gates have the axes of y, each full or 1, or one number for each channel, or one."""
    batch, channels, time = split_shape(tuple(values.shape), layout)
    own = tuple(getattr(gates, "shape", ()))
    if len(own) < 2:
        return channels in (1, *own) or own in ((), (1,))
    own_batch, own_channels, own_time = split_shape(own, layout)
    sizes = zip((*own_batch, own_time), (*batch, time), strict=True)
    return all(size in (1, full) for size, full in sizes) and (
        1 in (own_channels, channels) or own_channels == channels
    )


def _misfit_of_gates(gates: Array, values: Array, layout: Layout) -> ShapeError:
    own, missing = tuple(gates.shape), values.ndim - gates.ndim
    hint = ""
    if missing == 1:
        one = {"BCT": "[..., None]", "BTC": "[..., None, :]", "TBC": "[None]"}[layout]
        hint = f" Pass gates{one} for gates that do not vary along time, or give them the axis that is missing."
    return ShapeError(
        f"gates has shape {own} and values has shape {tuple(values.shape)} in layout {layout!r}, "
        f"{LAYOUT_AXES[layout]}. gates has the same axes, each full or 1; or it is (channels,), or one number.{hint}"
    )


def _misfit_of_initial(
    initial: Array, gates: Array, values: Array, layout: Layout, cu_seqlens: Array | None = None
) -> ShapeError:
    batch, channels, _ = split_shape(tuple(values.shape), layout)
    batch = batch if cu_seqlens is None else (len(cu_seqlens) - 1,)
    own = tuple(getattr(gates, "shape", ()))
    channels = max(channels, 1 if not own else own[0] if len(own) == 1 else split_shape(own, layout)[1])
    return ShapeError(
        f"initial has shape {tuple(initial.shape)}, expected {(*batch, channels)}: y's shape without its time axis, of "
        f"values of shape {tuple(values.shape)} in layout {layout!r}, {LAYOUT_AXES[layout]}; batch axes may be 1."
    )
