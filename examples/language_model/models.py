"""Models that differ in their recurrent unit alone, with about the same number of weights."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from multirec import nn

WIDTH = 96
"""Features between the blocks of a model."""
DEPTH = 2
"""Blocks of a model."""
WEIGHTS = 280_000
"""How many numbers each model learns, about."""

Make = Callable[[int, int], nn.RecurrentUnit]
"""From inputs_dim and hidden_dim to a unit."""


class OfTorch(nn.RecurrentUnit):
    """torch's own recurrent module, in the contract of the others."""

    def __init__(self, kind: type[torch.nn.RNNBase], inputs_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.module = kind(inputs_dim, hidden_dim)

    def init_state(self, x: Tensor) -> None:
        """Return None, from which torch's modules begin with zeros."""

    def compute(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run torch's module, which knows no resets."""
        return self.module(x, state)


UNITS: dict[str, Make] = {
    "nn.RNN": partial(OfTorch, torch.nn.RNN),
    "nn.GRU": partial(OfTorch, torch.nn.GRU),
    "nn.LSTM": partial(OfTorch, torch.nn.LSTM),
    "RecurrenceLayer": nn.RecurrenceLayer,
    "LRU": nn.LRU,
    "IndRNN": nn.IndRNN,
    "MinGRU": nn.MinGRU,
    "RGLRU": nn.RGLRU,
    "SRU v1": partial(nn.SRU, v1=True),
    "SRU": nn.SRU,
    "QRNN": partial(nn.QRNN, window=2),
}


class Block(nn.RecurrentUnit):
    """A unit between a norm and a projection, then plain layers; each of the two is added to what it reads."""

    def __init__(self, unit: nn.RecurrentUnit, hidden_dim: int) -> None:
        super().__init__()
        self.norm, self.unit, self.out = torch.nn.LayerNorm(WIDTH), unit, torch.nn.Linear(hidden_dim, WIDTH)
        wide = torch.nn.Linear(WIDTH, 2 * WIDTH), torch.nn.GELU(), torch.nn.Linear(2 * WIDTH, WIDTH)
        self.plain = torch.nn.Sequential(torch.nn.LayerNorm(WIDTH), *wide)

    def init_state(self, x: Tensor) -> None:
        """Return None, from which the unit makes its own."""

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, Any]:
        """Run the unit and what is around it; `resets` goes to the unit."""
        outs, state = self.unit(self.norm(x), state, **cuts)
        x = x + self.out(outs)
        return x + self.plain(x), state


def language_model(make: Make, symbols: int, hidden_dim: int) -> nn.Chain:
    """Return a model from characters (T, B) to logits (T, B, symbols) of the characters that follow."""
    blocks = (Block(make(WIDTH, hidden_dim), hidden_dim) for _ in range(DEPTH))
    head = torch.nn.LayerNorm(WIDTH), torch.nn.Linear(WIDTH, symbols)
    return nn.Chain(torch.nn.Embedding(symbols, WIDTH), *blocks, *head)


def weights(model: torch.nn.Module) -> int:
    """Return how many numbers a model learns."""
    return sum(weight.numel() for weight in model.parameters())


def of_size(make: Make, symbols: int, budget: int = WEIGHTS) -> nn.Chain:
    """Return the largest model that learns at most `budget` numbers."""
    sizes = range(1, 2048)
    hidden_dim = bisect_left(sizes, True, key=lambda size: weights(language_model(make, symbols, size)) > budget)
    return language_model(make, symbols, hidden_dim)
