"""A filter design in SciPy's convention, checked: what a learnable bank may start from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from multirec._filters.design import check_pair, normalised, numbers
from multirec.errors import ArgumentError, ShapeError

__all__ = ["require_held", "require_stable", "taps_of"]

Design = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def taps_of(b: npt.ArrayLike, a: npt.ArrayLike) -> tuple[Design, Design]:
    """Return (feedforward [C, q+1], feedback [C, p]) in float64 of SciPy's b and a, each with C or 1 rows."""
    numerator, denominator = _rows("b", b), _rows("a", a)
    if len(numerator) != len(denominator) and 1 not in (len(numerator), len(denominator)):
        raise ShapeError(
            f"b has shape {numerator.shape} and a has shape {denominator.shape}: one row a filter, so their "
            f"numbers of rows are equal, or one of them is 1."
        )
    check_pair(numerator, denominator)
    feedforward, feedback = normalised(numerator, denominator)
    for name, part in (("b", feedforward), ("a", feedback)):
        finite = np.isfinite(part).all(-1)
        if not finite.all():
            raise ArgumentError(f"{name} divided by a[:, 0] is not finite in {_filters(finite)}. Scale the design.")
    return feedforward, np.broadcast_to(feedback, (len(feedforward), feedback.shape[1])).copy()


def require_stable(feedback: Design, stable: Mask) -> None:
    """Raise unless every filter of feedback taps [C, p] is marked stable."""
    if stable.all():
        return
    radius = max(np.abs(np.roots(np.r_[1.0, -taps])).max() for taps in feedback[~stable])
    raise ArgumentError(
        f"the design is unstable in {_filters(stable)}: poles reach radius {radius:.7g}, and a FilterBank "
        f"holds only poles inside the unit circle. Change the design, or use multirec.RecurrenceBank.from_ba, "
        f"which takes any filter."
    )


def require_held(held: Mask, failure: str) -> None:
    """Raise unless every filter is marked as held; the failure is what becomes of the others."""
    if not held.all():
        raise ArgumentError(
            f"the design is stable, but {failure}, in {_filters(held)}: poles are too near each other and the unit "
            f"circle for weights of this precision. Use dtype=torch.float64 together with compute_dtype='float64', or "
            f"a Chain of second-order sections, one FilterBank each."
        )


def _rows(name: str, given: npt.ArrayLike) -> Design:
    design = numbers(given, name)
    if isinstance(design, torch.Tensor):
        if design.requires_grad:
            raise ArgumentError(
                f"{name} requires a gradient, but a FilterBank begins with weights of its own, which no gradient of "
                f"{name} would come from. Pass {name}.detach(), or use multirec.RecurrenceBank.from_ba, which keeps it."
            )
        design = design.numpy(force=True)
    design = np.atleast_2d(design)
    if design.ndim != 2 or np.iscomplexobj(design):
        raise ShapeError(
            f"{name} of a FilterBank is real and [filters, taps], got {design.dtype} of shape {design.shape}."
        )
    if not np.isfinite(design).all():
        raise ArgumentError(f"{name} is not finite in {_filters(np.isfinite(design).all(-1))}.")
    return design.astype(np.float64)


def _filters(good: Mask) -> str:
    bad = np.flatnonzero(~good)
    named = ", ".join(str(index) for index in bad[:5])
    return f"filter {named}" if len(bad) == 1 else f"filters {named}{', …' if len(bad) > 5 else ''}"
