"""SciPy's zi and the states of banks: the content of delay lines, and the past samples that leave it there.

zi[i] is what the i-th next output gets from the past: Σ b[i+k]·x[−k] + Σ f[i+k]·y[−k] over k ≥ 1. It has max(p, q)
values and a state has p + q, so a state gives one zi, and many states give the same.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._core.arrays import family_of, name_of, spec_of
from .._core.axes import explicit, flipped, from_channels_time, namespace, to_channels_time, zeros
from .._core.coefficients import cast_hint
from .._core.problem import FLOATING_DTYPES, Layout, Spec, join_shape, split_shape
from .._core.state import State
from .._core.validate import Choices, build_call
from .._sections.composed import memory_of
from ..errors import ArgumentError, DtypeError, ShapeError
from .design import Taps
from .scipy_form import ba_of, on_host
from .taps import taps_for

__all__ = ["state_of", "zi_of"]

Array: TypeAlias = Any
_EXACT = 1e-9
"""The largest share of zi that a history may miss."""


def zi_of(state: State, taps: Taps, choices: Choices) -> Array:
    """Return the zi of a state, in the layout with n = max(p, q) along the axis of time, in running order."""
    inputs, outputs = state
    like = outputs if inputs is None else inputs
    if like is None:
        raise ArgumentError("the state is State(None, None), which stands for zeros of any shape; so does zi=None.")
    layout = choices.layout
    batch, channels, _ = split_shape(tuple(like.shape), layout)
    x = zeros(like, join_shape(batch, channels, 0, layout))
    b, a = (explicit(part, x, layout) for part in taps_for(x, taps, layout))
    of_b, of_a = (None if part is None else spec_of(part, name) for part, name in ((b, "feedforward"), (a, "feedback")))
    call = build_call(spec_of(x, "x"), of_b, of_a, None, None, choices)
    problem = call.problem
    if inputs is None:
        inputs = zeros(x, join_shape(call.batch_shape, channels, problem.input_order, layout))
    if outputs is None:
        outputs = zeros(x, join_shape(call.batch_shape, problem.channels, problem.order, layout), problem.state_dtype)
    past_x, past_y = (to_channels_time(part, layout) for part in (inputs, outputs))
    return from_channels_time(memory_of(past_x, past_y, (b, a), call, choices), layout)


def state_of(zi: Array, taps: Taps, choices: Choices) -> State:
    """Return a state that has this zi: of past outputs alone where these suffice, so that x may be shared."""
    layout, reverse = choices.layout, choices.reverse
    b, a = ba_of(taps)
    q, p = b.shape[-1] - 1, a.shape[-1] - 1
    _check(spec_of(zi, "zi"), b, max(p, q), layout)
    memory = to_channels_time(zi, layout)
    values = on_host(memory)
    of_inputs, of_outputs = _responses(b, max(p, q)), _responses(-a, max(p, q))
    for parts in ((None, of_outputs), (of_inputs, None), (of_inputs, of_outputs)):
        response = np.concatenate([part for part in parts if part is not None], axis=-1)
        solution = np.linalg.pinv(response)
        with np.errstate(invalid="ignore"):
            missed = np.abs(_times(_times(values, solution), response) - values)
        # what is not finite gives a history that is not either
        if not np.any(missed > _EXACT * np.max(np.abs(values), axis=-1, keepdims=True, initial=0)):
            break
    else:
        missed = np.nan_to_num(missed, nan=0.0)
        channel = int(np.argmax(missed.reshape(-1, *missed.shape[-2:]).max(axis=(0, 2))))
        raise ArgumentError(
            f"no past samples leave this zi in filter {channel}: its last coefficients are 0, or too small for it. Use "
            "multirec.signal, whose functions take zi itself."
        )
    past = _times(memory, _like(solution, memory))
    n = 0 if parts[0] is None else q
    both = (past[..., :n] if n else None), (past[..., n:] if parts[1] is not None else None)
    # the latest in running order comes first, and states ascend in time
    ascending = (part if part is None or reverse else flipped(part) for part in both)
    return State(*(None if part is None else from_channels_time(part, layout) for part in ascending))


def _check(zi: Spec, b: npt.NDArray[Any], count: int, layout: Layout) -> None:
    if zi.dtype not in FLOATING_DTYPES:
        raise DtypeError(f"zi has dtype {zi.dtype}; a memory is of floating-point numbers. Pass {cast_hint('zi', zi)}.")
    if len(zi.shape) < 2 or split_shape(zi.shape, layout)[2] != count:
        raise ShapeError(
            f"zi has shape {zi.shape}; in layout {layout!r} it has the axes of y with max(p, q) = {count} along that "
            "of time."
        )
    batch, channels, _ = split_shape(zi.shape, layout)
    try:
        np.broadcast_shapes((*batch, channels), b.shape[:-1])
    except ValueError:
        raise ShapeError(
            f"zi has shape {zi.shape}, in layout {layout!r} of batch axes {batch} and {channels} channels, and the "
            f"bank has filters {b.shape[:-1]}. Pass zi with the axes of y."
        ) from None


def _responses(taps: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Return what the past samples, the latest first, give to zi: (…, C, n, taps - 1)."""
    order = taps.shape[-1] - 1
    found = np.zeros((*taps.shape[:-1], count, order), taps.dtype)
    for i in range(order):
        found[..., i, : order - i] = taps[..., i + 1 :]
    return found


def _times(vectors: Array, matrices: Array) -> Array:
    """Return matrices (…, C, m, n) times vectors (…, C, n)."""
    return (matrices @ vectors[..., None])[..., 0]


def _like(matrices: npt.NDArray[Any], memory: Array) -> Array:
    """Return matrices in the library and precision of a memory."""
    library, family = namespace(memory), family_of(memory)
    if family == "torch":
        found = library.from_numpy(matrices).to(memory.device)
        return found.to(library.promote_types(memory.dtype, library.complex32) if found.is_complex() else memory.dtype)
    kind = np.result_type(name_of(memory.dtype), np.complex64) if matrices.dtype.kind == "c" else memory.dtype
    return library.asarray(matrices, dtype=kind)
