"""Coefficients that a bank may hold, and how they meet a signal."""

from __future__ import annotations

from typing import Any, TypeAlias

from .._core.arrays import family_of, is_compiling, spec_of
from .._core.axes import unambiguous
from .._core.coefficients import check_taps_dtype
from .._core.problem import Layout
from ..errors import ArgumentError, ShapeError
from .design import Taps

__all__ = ["check_taps", "taps_for"]

Array: TypeAlias = Any


def check_taps(taps: Taps) -> None:
    """Raise unless a bank may hold coefficients."""
    if taps.feedback is None and taps.feedforward is None:
        raise ArgumentError(
            "feedforward and feedback are both None, so there is nothing to compute. "
            "Pass feedforward (an FIR filter), feedback (a recurrence), or both."
        )
    for name, part in zip(taps._fields, taps, strict=True):
        if part is None:
            continue
        family_of(part, name)
        if part.ndim < 2:
            hint = f" Pass {name}[None] for one filter." if part.ndim == 1 else ""
            raise ShapeError(
                f"{name} has shape {tuple(part.shape)}; a bank's coefficients are (channels, taps) or "
                f"(batch…, channels, taps).{hint}"
            )
        # a compiler would warn of what `spec_of` remembers; there the recurrence looks at the types
        if not is_compiling():
            check_taps_dtype(name, spec_of(part, name))


def taps_for(x: Array, taps: Taps, layout: Layout) -> tuple[Array | None, Array | None]:
    """Return (feedforward, feedback) as `recurrence` takes static or per-example coefficients with a signal x."""
    feedback, feedforward = taps
    rank = x.ndim
    if rank > 2 and _is_static(feedforward) and _is_static(feedback):
        return feedforward, feedback
    for name, part in (("feedforward", feedforward), ("feedback", feedback)):
        if part is not None and part.ndim == rank + 1 and part.ndim > 2:
            raise ShapeError(
                f"{name} of shape {tuple(part.shape)} is time-varying for x of shape {tuple(x.shape)}; a bank "
                "holds static or per-example coefficients. Call multirec.recurrence with it."
            )
    return unambiguous(feedforward, x, layout), unambiguous(feedback, x, layout)


def _is_static(taps: Array | None) -> bool:
    return taps is None or taps.ndim == 2
