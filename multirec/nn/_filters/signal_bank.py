"""Banks of filters whose signals may come without a channel axis, with one channel, or with their own."""

from __future__ import annotations

import torch

from multirec.errors import ShapeError

from .._contract.arguments import require_tensor
from .filter_unit import FilterUnit

__all__ = ["SignalBank"]


class SignalBank(FilterUnit):
    """A unit that filters x itself, and adds the axis of a shared channel where x has none."""

    def _signal(self, x: torch.Tensor) -> torch.Tensor:
        require_tensor(self, x)
        axis = -2 if self.layout == "BCT" else -1
        if x.ndim > 2:
            self._check_channels(x, axis)
            return x
        if x.ndim == 0:
            raise ShapeError(
                f"{type(self).__name__} takes x of shape (time,), in two axes without channels, or in layout "
                f"{self.layout!r} with three axes or more, got a scalar. For one sample use step."
            )
        return x.unsqueeze(axis)

    def _sample(self, x: torch.Tensor) -> torch.Tensor:
        require_tensor(self, x)
        if x.ndim < 2:
            return x.unsqueeze(-1)
        self._check_channels(x, -1)
        return x

    def _block_of_one(self, x: torch.Tensor) -> torch.Tensor:
        return x.unsqueeze(0 if self.layout == "TBC" else -1) if x.ndim < 2 else super()._block_of_one(x)

    def _check_channels(self, x: torch.Tensor, axis: int) -> None:
        found = x.shape[axis]
        if found != self.channels and found != 1 and self.channels != 1:
            raise ShapeError(
                f"{type(self).__name__} of {self.channels} channels takes 1 or {self.channels} input channels "
                f"in layout {self.layout!r}, got x of shape {tuple(x.shape)} with {found}."
            )
