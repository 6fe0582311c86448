"""What constructors and calls of units are given, checked."""

from __future__ import annotations

import torch

from multirec._core.scalars import whole
from multirec.errors import ArgumentError, DtypeError, FamilyError

__all__ = ["check_order", "check_weight_dtype", "require_tensor"]

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MOST = 256


def check_order(order: int) -> int:
    """Return the order of learnable filters as an int; raise unless they can be built."""
    order = whole("order", order, 0)
    if order > _MOST:
        raise ArgumentError(
            f"order is at most {_MOST}, got {order}: a filter of order p is built in p² operations, and polynomials of "
            f"high order are ill-conditioned. Use a Chain of units of low order; for a long FIR filter order=0 and "
            f"input_order={order}. If {order} is a sample rate: BandpassBank takes one."
        )
    return order


def check_weight_dtype(owner: object, dtype: torch.dtype | None) -> None:
    """Raise unless the weights of a unit may be of this type."""
    if dtype is not None and dtype not in _REAL:
        raise DtypeError(
            f"the weights of a {type(owner).__name__} are {', '.join(map(str, _REAL))}, got dtype={dtype}. "
            "For coefficients that are complex numbers use multirec.RecurrenceBank."
        )


def require_tensor(owner: object, x: object) -> None:
    """Raise unless x is a torch tensor."""
    if not isinstance(x, torch.Tensor):
        raise FamilyError(
            f"{type(owner).__name__} takes a torch tensor, got {type(x).__module__}.{type(x).__qualname__}. Convert "
            f"it with torch.as_tensor, or use multirec.RecurrenceBank, which takes arrays of other libraries."
        )
