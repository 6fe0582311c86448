"""Layers: units that filter a linear projection of x."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from multirec.errors import DtypeError, ShapeError

from ._arguments import require_tensor
from ._filter_unit import FilterUnit
from ._marked import without_padding

__all__ = ["ProjectedUnit"]


class ProjectedUnit(FilterUnit):
    """A unit that filters `projection` of x, whose features are on the last axis."""

    projection: nn.Linear

    @property
    def inputs_dim(self) -> int:
        """Number of features of x."""
        return self.projection.in_features

    @property
    def hidden_dim(self) -> int:
        """Number of units, and of features of the outputs."""
        return self.channels

    def _read(self, x: torch.Tensor, cuts: dict[str, Any]) -> torch.Tensor:
        if "lengths" not in cuts:
            return x
        self._projection_of(x, 2)
        # what is there would reach the gradient of the projection
        return without_padding(x, self.layout, cuts)

    def _signal(self, x: torch.Tensor) -> torch.Tensor:
        return self._projected(x, 2)

    def _sample(self, x: torch.Tensor) -> torch.Tensor:
        return self._projected(x, 1)

    def _outline(self, x: torch.Tensor) -> torch.Tensor:
        # an empty block, because autocast decides the projection's dtype
        self._projection_of(x, 2)
        return self._signal(x[:0] if self.layout == "TBC" else x[..., :0, :])

    def _projected(self, x: torch.Tensor, axes: int) -> torch.Tensor:
        projected: torch.Tensor = self._projection_of(x, axes)(x)
        return projected

    def _projection_of(self, x: torch.Tensor, axes: int) -> nn.Linear:
        """Return the projection; raise unless it takes x."""
        require_tensor(self, x)
        projection = self.projection
        if x.ndim < axes or x.shape[-1] != projection.in_features:
            what = f"x in layout {self.layout!r}" if axes == 2 else "a sample (batch…, features)"
            raise ShapeError(
                f"{type(self).__name__}({self.inputs_dim}, {self.hidden_dim}) takes {what} with {self.inputs_dim} "
                f"features on the last axis, got shape {tuple(x.shape)}."
            )
        own = projection.weight.dtype
        if x.dtype != own and not torch.is_autocast_enabled(x.device.type):
            raise DtypeError(
                f"x is {x.dtype} and the projection's weights are {own}. Cast x with x.to({own}), or move the layer to "
                "x's type with layer.to(…)."
            )
        return projection
