"""Where a bank's coefficients come from: as given, or SciPy's transfer functions and second-order sections.

A NumPy design is prepared once. What may change or wants a gradient is kept as it was given and prepared whenever it
is read: a tensor that requires a gradient, a torch Parameter, an array or a tracer of JAX.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.arrays import family_of, is_traced
from .._core.axes import namespace
from ..errors import ArgumentError, DtypeError, FamilyError, ShapeError

Array: TypeAlias = Any


class Taps(NamedTuple):
    """Coefficients in multirec's convention."""

    feedback: Array | None
    feedforward: Array | None

    def taps(self) -> Taps:
        return self


class TransferFunction(NamedTuple):
    """SciPy's b and a, (C, n), (n,) or a number, divided by a[..., 0] whenever they are read."""

    b: Array
    a: Array

    def taps(self) -> Taps:
        b, a = (part if part.ndim > 1 else part.reshape(1, -1) for part in self)
        feedforward, feedback = normalised(b, a)
        return Taps(feedback if a.shape[-1] > 1 else None, feedforward)


class Section(NamedTuple):
    """One of SciPy's second-order sections (C, S, 6) or (S, 6), cut out whenever it is read."""

    sos: Array
    place: int

    def taps(self) -> Taps:
        row = self.sos[..., self.place, :]
        return TransferFunction(row[..., :3], row[..., 3:]).taps()


Source: TypeAlias = Taps | TransferFunction | Section
"""What a bank holds."""


def transfer_function(b: Any, a: Any) -> Source:
    """Return the source of SciPy's b and a, checked; prepared here unless its values may change."""
    if _is_number(a) and not _is_number(b):
        b = numbers(b, "b")
        a = _filled(b, a)
    elif _is_number(b) and not _is_number(a):
        a = numbers(a, "a")
        b = _filled(a, b)
    else:
        b, a = numbers(b, "b"), numbers(a, "a")
    check_pair(_vector(b), _vector(a))
    source = TransferFunction(b, a)
    if _is_live(b) or _is_live(a):
        return source
    return source.taps()


def check_pair(b: Array, a: Array) -> None:
    """Raise unless b and a fit together, and a[..., 0] is not 0 where values can be looked at."""
    if family_of(b, "b") != family_of(a, "a"):
        raise FamilyError(
            f"b is a {family_of(b, 'b')} array and a is a {family_of(a, 'a')} array. Convert one of them."
        )
    rows = [part.shape[:-1] or (1,) for part in (b, a)]
    if len(rows[0]) != len(rows[1]) or any(m != n and 1 not in (m, n) for m, n in zip(*rows, strict=True)):
        raise ShapeError(
            f"b has shape {tuple(b.shape)} and a has shape {tuple(a.shape)}; they are (channels, taps) with the same "
            "number of channels, or 1."
        )
    if is_traced(a):
        return
    zero = a[..., 0] == 0
    if bool(zero.any()):
        raise ArgumentError(
            f"a[..., 0] is 0 in {int(zero.sum())} filters of a with shape {tuple(a.shape)}, "
            "so the recurrence has no current output. Remove leading zeros of a (and shift b)."
        )


def normalised(b: Array, a: Array) -> tuple[Array, Array]:
    """Return (feedforward, feedback) of b and a, (…, n)."""
    first = a[..., :1]
    if not isinstance(first, np.ndarray):
        return b / first, -a[..., 1:] / first
    with np.errstate(all="ignore"):
        return b / first, -a[..., 1:] / first


def sections(sos: Any) -> Iterator[Source]:
    """Yield the source of each of SciPy's second-order sections."""
    sos = numbers(sos, "sos")
    if sos.ndim not in (2, 3) or sos.shape[-1] != 6 or sos.shape[-2] == 0:
        raise ShapeError(
            f"sos has shape {tuple(sos.shape)}; it is (channels, sections, 6) or (sections, 6), "
            "each row b0, b1, b2, a0, a1, a2."
        )
    in_place = family_of(sos) == "torch" and _is_live(sos)
    for index in range(sos.shape[-2]):
        row = sos[..., index, :]
        source = transfer_function(row[..., :3], row[..., 3:])
        yield Section(sos, index) if in_place else source


def numbers(values: Any, name: str) -> Array:
    """Return coefficients as an array; lists and integers become float64."""
    if isinstance(values, list | tuple | int | float | complex | np.generic):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ShapeError(f"{name} is no array: its rows differ in length. Pad them with zeros.") from error
    family, dtype = family_of(values, name), str(values.dtype)
    if "bool" in dtype or (family == "numpy" and values.dtype.kind not in "iufc"):
        raise DtypeError(f"{name} has dtype {values.dtype}; coefficients are numbers. Cast them to float64.")
    if "int" in dtype:
        values = values.double() if family == "torch" else values.astype("float32" if family == "jax" else "float64")
    if values.ndim and values.shape[-1] == 0:
        raise ShapeError(f"{name} has shape {tuple(values.shape)}; it is (channels, taps) with at least one tap.")
    return values


def _is_number(values: object) -> bool:
    """Whether values are one number of no library, which takes the library and the type of what it meets."""
    return isinstance(values, int | float | np.integer | np.floating) and not isinstance(values, bool)


def _filled(like: Array, number: float) -> Array:
    """Return the one tap that a number is, for the other of b and a."""
    return namespace(like).full_like(_vector(like)[..., :1], number)


def _vector(part: Array) -> Array:
    return part if part.ndim else part[None]


def _is_live(array: Array) -> bool:
    """Whether an array is to be read anew at each call."""
    family = family_of(array)
    if family != "torch":
        return family == "jax"
    return bool(array.requires_grad) or isinstance(array, sys.modules["torch"].nn.Parameter)
