"""torch's linear map in memory of ours, where what comes out is large.

torch's allocator takes a large block from the system page by page, which takes up to a third of the product's own time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .._memory.allocate import on_host
from .composed import is_differentiated
from .door import ANYTHING, GRADIENT, wanted_of

__all__ = ["linear"]

_LARGE = 1 << 22
"""Bytes from which on memory comes in large pages."""
_DTYPES: dict[torch.dtype, np.dtype[Any]] = {torch.float32: np.dtype("float32"), torch.float64: np.dtype("float64")}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `torch.nn.functional.linear` of the same, bit by bit, and with the same gradients."""
    if torch.compiler.is_compiling() or not _applies(x, weight, bias):
        return functional.linear(x, weight, bias)
    wanted = wanted_of((x, weight, bias))
    if wanted == ANYTHING:
        return functional.linear(x, weight, bias)
    if wanted == GRADIENT:
        return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return _product(x, weight.t(), bias)


def _applies(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the product is large, and of plain matrices in host memory."""
    return (
        x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype
        and x.dtype in _DTYPES
        and (bias is None or (bias.dtype == x.dtype and bias.device == x.device and bias.shape == weight.shape[:1]))
        and x.ndim > 1
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and x[..., 0].numel() * len(weight) * x.itemsize >= _LARGE
        and x.is_contiguous()
        and not torch.is_autocast_enabled("cpu")
    )


def _product(rows: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return rows (…, n) times matrix (n, m), and bias (m,) added to it, in memory of ours."""
    shape = *rows.shape[:-1], matrix.shape[1]
    out = torch.from_numpy(on_host(shape, _DTYPES[rows.dtype]))
    flat = rows.reshape(-1, rows.shape[-1]), matrix
    if bias is None:
        torch.mm(*flat, out=out.view(-1, shape[-1]))
    else:
        torch.addmm(bias, *flat, out=out.view(-1, shape[-1]))
    return out


class _Linear(torch.autograd.Function):
    """The product as a function of x, weight and bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        of_x, of_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_weight else None, weight if of_x else None)
        return _product(x, weight.t(), bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        plain = not is_differentiated((grad,)) and wanted_of((grad, weight)) != ANYTHING
        rows = grad.reshape(-1, grad.shape[-1])
        return (
            None if not of_x else _product(grad, weight) if plain else grad @ weight,
            rows.t() @ x.reshape(-1, x.shape[-1]) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )
