"""What minGRU and minLSTM share: one projection to gates and a candidate, which may be made positive."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from .._contract.arguments import check_weight_dtype
from .gated import GatedUnit
from .sequence_unit import Options

__all__ = ["MinimalUnit", "positive", "pull_positive"]


def positive(candidates: Tensor) -> Tensor:
    """Return g of the paper, which has a logarithm: x + 0.5 from 0 on, below it σ(x)."""
    return torch.where(candidates < 0, torch.sigmoid(candidates), candidates + 0.5)


def pull_positive(candidates: Tensor, found: Tensor) -> Tensor:
    """Return the derivative of `found`, g of candidates."""
    return torch.where(candidates < 0, found - found * found, 1.0)


class MinimalUnit(GatedUnit):
    """A unit whose formula is `_gates` of a projection to `_parts` times `hidden_dim` features."""

    _gates: ClassVar[type[Any]]
    _parts: ClassVar[int]

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        positive: bool = False,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        self.positive = positive
        self.formula = self._gates(positive)
        rows = self._parts * self.hidden_dim
        self.projection = nn.Linear(self.inputs_dim, rows, bias=bias, device=device, dtype=dtype)

    def _own_options(self) -> dict[str, Any]:
        return {"positive": False}
