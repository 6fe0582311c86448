"""SciPy's b, a and second-order sections, checked and divided by a0: what filters are computed with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._core.arrays import is_compiling
from .._core.axes import concatenate
from .._filters.design import normalised
from ..errors import ArgumentError, ShapeError
from ._arrays import Array, as_array, host_values, like
from ._types import in_precision, is_complex, precise

__all__ = ["Sections", "Transfer", "as_sections", "as_transfer", "sections", "transfer"]


class Transfer(NamedTuple):
    """Filters of any order: (C, q+1) and (C, p), with None for no feedback; the order is max(p, q)."""

    feedforward: Array
    feedback: Array | None
    order: int
    filters: int
    bank: bool
    source: str

    @property
    def complex(self) -> bool:
        """Whether their feedforward sums are complex, whatever x is."""
        return is_complex(self.feedforward.dtype)


class Sections(NamedTuple):
    """Second-order sections (C, S, 5): feedforward and feedback."""

    taps: Array
    filters: int
    bank: bool
    source: str

    @property
    def complex(self) -> bool:
        """Whether they make y complex."""
        return is_complex(self.taps.dtype)

    @property
    def sections(self) -> int:
        return int(self.taps.shape[-2])


def as_transfer(b: Any, a: Any) -> tuple[Array, Array]:
    """Return b and a as arrays (n,) or, of a bank, (C, n)."""
    b, a = (_with_taps(as_array(part, name), name) for name, part in (("b", b), ("a", a)))
    rows = [part.shape[0] for part in (b, a) if part.ndim == 2]
    if len({rows for rows in rows if rows != 1}) > 1:
        raise ShapeError(
            f"b has shape {tuple(b.shape)} and a has shape {tuple(a.shape)}: a bank has one row a filter in both, or "
            "in one of them 1 row for all."
        )
    return b, a


def transfer(b: Array, a: Array, x: Array, dtype: Any) -> Transfer:
    """Return filters of b and a for signals like x, whose data type is given."""
    source = f"b of shape {tuple(b.shape)} and a of shape {tuple(a.shape)}"
    bank = 2 in (b.ndim, a.ndim)
    order = max(b.shape[-1], a.shape[-1]) - 1
    _check_leading(a[..., 0], "a", a)
    b, a = _in_type(b, x, dtype), _in_type(a, x, dtype)
    if isinstance(b, np.ndarray) != isinstance(a, np.ndarray):
        b, a = like(b, x), like(a, x)
    b, a = (part if part.ndim == 2 else part[None] for part in (b, a))
    feedforward, feedback = normalised(b, a)
    filters = max(b.shape[0], a.shape[0])
    return Transfer(feedforward, feedback if feedback.shape[-1] else None, order, filters, bank, source)


def as_sections(sos: Any) -> Array:
    """Return second-order sections as an array (S, 6) or, of a bank, (C, S, 6)."""
    sos = as_array(sos, "sos")
    sos = sos[None] if sos.ndim == 1 else sos
    if sos.ndim not in (2, 3) or sos.shape[-1] != 6 or sos.shape[-2] == 0:
        raise ShapeError(
            f"sos has shape {tuple(sos.shape)}; it is (sections, 6), or (filters, sections, 6) for a bank, each row "
            "b0, b1, b2, a0, a1, a2."
        )
    return sos


def sections(sos: Array, x: Array, dtype: Any, *, any_leading: bool = False) -> Sections:
    """Return the sections of sos for signals like x, whose data type is given; for zi alone SciPy takes any a0."""
    values = host_values(sos[..., 3]) if isinstance(sos, np.ndarray) and not any_leading else None
    if values is not None and not (values == 1).all():
        raise ArgumentError(
            "sos[..., 3], the a0 of each section, should be all ones in NumPy's sos, as in SciPy. Divide each row by "
            "it: sos / sos[..., 3:4]."
        )
    _check_leading(sos[..., 3], "sos", sos)
    source = f"sos of shape {tuple(sos.shape)}"
    rows = _in_type(sos if sos.ndim == 3 else sos[None], x, dtype)
    taps = concatenate(normalised(rows[..., :3], rows[..., 3:]))
    return Sections(taps, rows.shape[0], sos.ndim == 3, source)


def _with_taps(part: Array, name: str) -> Array:
    part = part.reshape(1) if part.ndim == 0 else part
    if part.ndim > 2 or 0 in part.shape:
        raise ShapeError(
            f"Parameter {name} is not a filter: it has shape {tuple(part.shape)}, and is (taps,) or, for a bank, "
            "(filters, taps), with one tap or more."
        )
    return part


def _in_type(part: Array, x: Array, dtype: Any) -> Array:
    if isinstance(x, np.ndarray):
        return in_precision(part, dtype)
    # a compiler cannot look at NumPy's
    return precise(like(part, x) if is_compiling() else part, dtype)


def _check_leading(first: Array, name: str, whole: Array) -> None:
    """Raise if some a0 is 0, where values can be looked at; elsewhere it spoils its own filter alone."""
    values = host_values(first)
    if values is None or np.all(values):
        return
    which = "" if values.ndim == 0 else f" in {int((values == 0).sum())} of {values.size} filters or sections"
    raise ArgumentError(
        f"a0 is 0{which} of {name} with shape {tuple(whole.shape)}: y would be divided by it. Remove leading zeros of "
        "a, and as many of b, or delay y."
    )
