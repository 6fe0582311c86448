"""SciPy's conventions: transfer functions and second-order sections as feedforward and feedback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from ._arrays import family_of
from .errors import ArgumentError, DtypeError, FamilyError, ShapeError

Array: TypeAlias = Any


def from_scipy(values: Any, name: str) -> Array:
    """Return coefficients as an array of rank 2 or more; lists and integers become float64."""
    if isinstance(values, list | tuple | int | float | complex):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ShapeError(f"{name} is no array: its rows differ in length. Pad them with zeros.") from error
    family = family_of(values, name)
    if family == "numpy":
        if values.dtype.kind in "iu":
            values = values.astype(np.float64)
        elif values.dtype.kind not in "fc":
            raise DtypeError(f"{name} has dtype {values.dtype}; coefficients are numbers. Cast them to float64.")
    elif "int" in str(values.dtype):
        values = values.double() if family == "torch" else values.astype("float32")
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ShapeError(f"{name} has shape {tuple(values.shape)}; it is (channels, taps) with at least one tap.")
    return values[None] if values.ndim == 1 else values


def feedforward_of(b: Array, a: Array) -> Array:
    """Return b / a[0]."""
    _check_pair(b, a)
    return b / a[..., :1]


def feedback_of(a: Array) -> Array | None:
    """Return −a[1:] / a[0]; None if there is nothing after a[0]."""
    return -a[..., 1:] / a[..., :1] if a.shape[-1] > 1 else None


def sections(sos: Any) -> Iterator[tuple[Array, Array]]:
    """Yield (b, a) of each second-order section, (C, 3) each."""
    sos = from_scipy(sos, "sos")
    if sos.ndim == 2:
        sos = sos[None]
    if sos.ndim != 3 or sos.shape[-1] != 6 or sos.shape[1] == 0:
        raise ShapeError(
            f"sos has shape {tuple(sos.shape)}; it is (channels, sections, 6) or (sections, 6), "
            "each row b0, b1, b2, a0, a1, a2."
        )
    for index in range(sos.shape[1]):
        yield sos[:, index, :3], sos[:, index, 3:]


def _check_pair(b: Array, a: Array) -> None:
    if family_of(b, "b") != family_of(a, "a"):
        raise FamilyError(
            f"b is a {family_of(b, 'b')} array and a is a {family_of(a, 'a')} array. Convert one of them."
        )
    if b.ndim != a.ndim or any(m != n and 1 not in (m, n) for m, n in zip(b.shape[:-1], a.shape[:-1], strict=True)):
        raise ShapeError(
            f"b has shape {tuple(b.shape)} and a has shape {tuple(a.shape)}; they are (channels, taps) with the same "
            "number of channels, or 1."
        )
    zero = a[..., 0] == 0
    if not _is_traced(a) and bool(zero.any()):
        raise ArgumentError(
            f"a[..., 0] is 0 in {int(zero.sum())} filters of a with shape {tuple(a.shape)}, "
            "so the recurrence has no current output. Remove leading zeros of a (and shift b)."
        )


def _is_traced(array: Array) -> bool:
    """Whether values cannot be looked at: under a transformation or a compiler."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return bool(torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None)
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(array, jax.core.Tracer)
