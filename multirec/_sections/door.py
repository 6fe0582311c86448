"""The way in: one filter of any order, or second-order sections, with the memory that SciPy calls zi."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, TypeAlias

from .._core.arrays import family_of, is_compiling, is_double, spec_of
from .._core.axes import explicit
from .._core.problem import ComputeDtype, Layout
from .._core.validate import Choices, as_choices, build_call
from .._engine.precision import can_widen, damage_of, has_double, warn
from . import composed
from .launch import Arrays, bound, call_of

Array: TypeAlias = Any


class Filtered(NamedTuple):
    """y in x's layout, and the memory after the block (batch…, C, n)."""

    y: Array
    memory: Array


class Sections(NamedTuple):
    """y in x's layout; the memory after the block and each section's last two outputs, (batch…, C, S, 2)."""

    y: Array
    memory: Array
    ends: Array


def filtered(
    x: Array,
    feedforward: Array | None,
    feedback: Array | None,
    memory: Array | None = None,
    *,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
) -> Filtered:
    """Run one filter of any order a channel, in transposed direct form II.

    Parameters
    ----------
    x, feedforward, feedback, layout, reverse, backend, compute_dtype
        As in `multirec.recurrence`, with static or per-example coefficients.
    memory
        (batch…, C, n) with n = max(p, q), whatever the layout: what y[i] gets besides, in running order. None is zeros.
    """
    choices = as_choices(layout, reverse, backend, compute_dtype)
    choices = _judged(x, (feedforward, feedback), choices)
    b, a = (
        None if part is None else spec_of(explicit(part, x, choices.layout), name)
        for part, name in ((feedforward, "feedforward"), (feedback, "feedback"))
    )
    call = build_call(spec_of(x, "x"), b, a, None, None, choices)
    return Filtered(*composed.filtered(x, feedforward, feedback, memory, call, choices))


def cascade(
    x: Array,
    taps: Array,
    memory: Array | None = None,
    *,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
    out: Array | None = None,
) -> Sections:
    """Run second-order sections in turn: in one pass where the backend can, else one by one.

    Parameters
    ----------
    x, layout, reverse, backend, compute_dtype, out
        As in `multirec.recurrence`. The precision is one for all sections: float64 where rounding would spoil one.
    taps
        (C, S, 5) or (batch…, C, S, 5): feedforward[0..2] and feedback[0..1] of each section.
    memory
        (batch…, C, S, 2), whatever the layout; None is zeros.
    """
    choices = as_choices(layout, reverse, backend, compute_dtype)
    return run_sections((x, taps, memory), choices, out)


def run_sections(arrays: Arrays, choices: Choices, out: Array | None = None) -> Sections:
    """Run sections on (x, taps, memory)."""
    x, taps, _ = arrays
    family = family_of(x)
    if choices.compute_dtype is None and not is_double(x) and is_double(taps):
        choices = _judged(x, (taps[..., :3], taps[..., 3:]), choices)
    if family == "torch":
        from .._torch.cascade import sections as torch_sections

        return Sections(*torch_sections(arrays, out, partial(bound, choices=choices), partial(_compose, choices)))
    if family == "jax":
        from .._jax.cascade import sections as jax_sections

        return Sections(*jax_sections(arrays, out, bound(arrays, choices).call, choices, _compose))
    if family == "numpy" and not is_compiling():
        launcher = bound(arrays, choices).launcher
        if launcher is not None:
            return Sections(*launcher(arrays, out))
    found = _compose(choices, *arrays)
    return found if out is None else _written(found, out)


def has_one_pass(arrays: Arrays, choices: Choices) -> bool:
    """Whether `run_sections` would run sections of (x, taps, memory) in one pass."""
    x = arrays[0]
    family = family_of(x)
    if family == "torch":
        from .._torch.cascade import meets_kernels

        if not meets_kernels(arrays):
            return False
    elif family == "jax":
        from .._jax.cascade import has_one_pass as jax_has_one_pass

        return jax_has_one_pass(arrays, bound(arrays, choices).call, choices)
    elif family != "numpy" or is_compiling():
        return False
    return bound(arrays, choices).launcher is not None


def _compose(choices: Choices, *arrays: Any) -> Sections:
    x, taps, memory = arrays
    return Sections(*composed.sections(x, taps, memory, call_of(arrays, choices), choices))


def _written(found: Sections, out: Array) -> Sections:
    out[...] = found.y
    return found._replace(y=out)


def _judged(x: Array, taps: tuple[Array | None, Array | None], choices: Choices) -> Choices:
    """Return choices that compute in float64 where rounding would spoil a filter; warn where nothing can."""
    if choices.compute_dtype is not None or is_double(x) or not has_double(taps):
        return choices
    found = damage_of(*taps)
    if found is None:
        return choices
    if found and can_widen(x, choices.backend):
        return choices._replace(compute_dtype="float64")
    if found:
        warn(found, choices.backend)
    return choices._replace(compute_dtype="float32")
