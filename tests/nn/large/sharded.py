"""A model of the library's layers, and a few steps of its training, in one process or as one of two."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from multirec import nn

__all__ = ["example", "layers", "trained"]


def layers() -> nn.Chain:
    """Return filters and layers, (batch, time, 1) -> (batch, time, 2), of numbers that two do not divide."""
    torch.manual_seed(0)
    return nn.Chain(
        nn.BandpassBank(5, 16000, layout="BTC"),
        nn.RecurrenceLayer(5, 7, layout="BTC"),
        torch.nn.ReLU(),
        nn.FilterBank(7, layout="BTC"),
        nn.RecurrenceLayer(7, 2, order=3, layout="BTC"),
    )


def example() -> tuple[Tensor, Tensor]:
    """Return signals and what is wanted of them."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 24, 1, generator=generator), torch.randn(4, 24, 2, generator=generator)


def trained(
    model: Any,
    x: Tensor,
    wanted: Tensor,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    call: Callable[..., Any] | None = None,
) -> list[float]:
    """Train over two blocks with the states in between, and return the loss of each step."""
    optimizer, losses, call = torch.optim.SGD(model.parameters(), lr=0.05), [], call or model
    half = x.shape[1] // 2
    for _ in range(3):
        optimizer.zero_grad()
        with around():
            first, states = call(x[:, :half])
            second, states = call(x[:, half:], states)
            loss = (torch.cat([first, second], 1) - wanted).square().mean() + states[3].outputs.square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
