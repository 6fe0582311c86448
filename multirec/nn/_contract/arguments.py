"""What constructors and calls of units are given, checked."""

from __future__ import annotations

from typing import Any

import torch

from multirec._core.scalars import whole
from multirec.errors import ArgumentError, DtypeError, FamilyError

__all__ = ["check_order", "check_weight_dtype", "require_tensor", "unknown_options"]

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MOST = 256
_STACKED = {"num_layers", "bidirectional", "dropout"}


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


def unknown_options(name: str, others: dict[str, Any]) -> Exception:
    """Return the error of keywords that a unit has not; for those of ``nn.GRU`` it says what is here for them."""
    known = {key: value for key, value in others.items() if key in _STACKED or key == "batch_first"}
    if known.keys() != others.keys():
        return TypeError(f"{name}() got an unexpected keyword argument {next(iter(others.keys() - known.keys()))!r}")
    layout = {"layout": "BTC" if known.pop("batch_first") else "TBC"} if "batch_first" in known else {}
    if not known:
        return ArgumentError(f"{name} has a layout: for batch_first=True write layout='BTC'.")
    given, instead = (", ".join(f"{key}={value!r}" for key, value in part.items()) for part in (others, known | layout))
    return ArgumentError(
        f"{name} is one layer in one direction, got {given}. For more write "
        f"multirec.nn.Stack({name}, inputs_dim, hidden_dim, {instead})."
    )
