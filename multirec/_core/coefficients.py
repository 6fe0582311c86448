"""Validation of coefficients: their axes named, their kind told from their rank, their types.

Metadata in, canonical metadata or an error out.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ..errors import DtypeError, ShapeError
from .problem import (
    COMPLEX_DTYPES,
    FLOATING_DTYPES,
    HALF_DTYPES,
    LAYOUT_AXES,
    Kind,
    Layout,
    Spec,
    looks_like_signal,
    split_shape,
)

_NEAREST = {"complex32": "complex64", "complex256": "complex128", "float128": "float64"}


def cast_hint(name: str, got: Spec) -> str:
    """Spell the cast of an array to the nearest dtype that a recurrence is defined for."""
    nearest = _NEAREST.get(got.dtype, "float32")
    return f"{name}.to(torch.{nearest})" if got.family == "torch" else f"{name}.astype('{nearest}')"


def check_taps_dtype(name: str, got: Spec) -> None:
    """Raise unless coefficients are floating-point or complex."""
    if got.dtype not in FLOATING_DTYPES:
        integers = ", or give SciPy's b and a to RecurrenceBank.from_ba, which takes integers"
        mask = f"{name}.{'to' if got.family == 'torch' else 'astype'}(x.dtype) for a mask that is a gate"
        raise DtypeError(
            f"{name} has dtype {got.dtype}; coefficients are {', '.join(FLOATING_DTYPES)}. Cast them, for example "
            f"{mask if got.dtype == 'bool' else cast_hint(name, got)}{integers if 'int' in got.dtype else ''}."
        )


def check_coefficient_dtypes(x: Spec, *coefficients: Spec | None) -> None:
    """Raise unless feedforward and feedback are of types that x can be filtered with."""
    for name, other in zip(("feedforward", "feedback"), coefficients, strict=True):
        if other is None:
            continue
        check_taps_dtype(name, other)
        if other.dtype in COMPLEX_DTYPES and x.dtype in HALF_DTYPES:
            raise DtypeError(
                f"x is {x.dtype} and {name} is {other.dtype}: y would be a complex half type, which multirec "
                "does not have. Cast x to float32."
            )


class View(NamedTuple):
    """One coefficient set, its axes named: `batch` is empty where the kind has no batch axes."""

    kind: Kind
    batch: tuple[int, ...]
    channels: int
    time: int
    taps: int
    spec: Spec


def view_taps(name: str, spec: Spec, x: Spec, layout: Layout) -> View:
    """Name the axes of coefficients, by their rank and x's; raise where no kind has that rank."""
    shape, rank = spec.shape, len(x.shape)
    if len(shape) < 2:
        hint = f"pass {name}[None] for one filter" if len(shape) == 1 else f"pass {name} with a taps axis"
        raise ShapeError(f"{name} has shape {shape}; static coefficients are (channels, taps): {hint}.")
    if looks_like_signal(shape, x.shape, layout):
        time_axis = {"BCT": "[..., None, :]", "BTC": "[..., None, :, :]", "TBC": "[None]"}[layout]
        whose = "x's own shape" if shape == x.shape else "a signal's shape"
        raise ShapeError(
            f"{name} has {whose} {shape}. A gate, one number a sample, has an axis of taps, too: pass "
            f"{name}[..., None]. If {shape[-1]} taps are meant that do not vary along time, give them a time axis of "
            f"length 1: pass {name}{time_axis}."
        )
    if len(shape) == 2:
        view = View("static", (), shape[0], 1, shape[1], spec)
    elif len(shape) == rank:
        view = View("per_example", shape[:-2], shape[-2], 1, shape[-1], spec)
    elif len(shape) == rank + 1:
        batch, channels, time = split_shape(shape[:-1], layout)
        view = View("time_varying", batch, channels, time, shape[-1], spec)
    else:
        raise ShapeError(
            f"{name} has shape {shape}, rank {len(shape)}; with x of shape {x.shape} (layout {layout!r}) it is "
            f"(channels, taps), rank 2{'' if rank == 2 else f', (batch…, channels, taps), rank {rank}'}, or "
            f"time-varying with the axes of y and taps last, rank {rank + 1}."
        )
    if name == "feedforward" and view.taps == 0:
        raise ShapeError(
            f"feedforward has shape {shape}: it has no taps, so y would be zero. Pass feedforward=None for 1."
        )
    return view


def common_channels(x: Spec, x_channels: int, views: dict[str, View], layout: Layout) -> int:
    """Return the number of channels that x and all coefficients have, or 1; raise where they differ."""
    found = {"x": x_channels} | {name: view.channels for name, view in views.items()}
    common = next((size for size in found.values() if size != 1), 1)
    if all(size in (1, common) for size in found.values()):
        return common
    shapes = ", ".join(f"{name} of shape {view.spec.shape} has {view.channels}" for name, view in views.items())
    hint = ""
    if len(x.shape) == 2:
        hint = (
            f" A two-dimensional x is {LAYOUT_AXES[layout].replace('batch…, ', '')}: if its first axis is a batch, "
            f"pass {'x[:, None]' if layout == 'BCT' else 'x[..., None]'} for one shared channel."
        )
    raise ShapeError(
        f"channels do not match: x of shape {x.shape} (layout {layout!r}, {LAYOUT_AXES[layout]}) has {x_channels}, "
        f"{shapes}. Each must be the common number of channels, or 1.{hint}"
    )


def canonical_taps(name: str, view: View, batch: tuple[int, ...], length: int, layout: Layout, x: Spec) -> Spec:
    """Return the metadata of coefficients in canonical form; raise where they do not fit x."""
    full = batch if view.kind != "static" else ()
    if any(own not in (1, size) for own, size in zip(view.batch, full, strict=True)) or view.time not in (1, length):
        axes = (
            "(batch…, channels, taps)" if view.kind == "per_example" else "the axes of y, each full or 1, and taps last"
        )
        raise ShapeError(
            f"{name} of shape {view.spec.shape} does not fit x of shape {x.shape} "
            f"(layout {layout!r}, {LAYOUT_AXES[layout]}): {view.kind.replace('_', '-')} coefficients have {axes}."
        )
    one = all(own == 1 for own in view.batch)
    return view.spec._replace(shape=(1 if one else prod(batch), view.channels, view.time, view.taps))
