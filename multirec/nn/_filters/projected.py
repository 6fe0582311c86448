"""Layers: units that filter a linear projection of x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from multirec._core.problem import join_shape
from multirec._core.state import State
from multirec.errors import DtypeError, ShapeError

from .._contract.arguments import require_tensor
from .._contract.marked import checked, without_padding
from .._contract.projection import project
from .._steps.lines import moved_on, weighted
from .._steps.step import Lies, at_once, held
from .filter_unit import FilterUnit

__all__ = ["ProjectedUnit"]


@dataclass(frozen=True)
class _Filter:
    """One sample: of the signal, gain, feedback and the last outputs, the output and the last ones then."""

    reverse: bool

    def __call__(self, signal: Tensor, gain: Tensor, *numbers: Tensor) -> tuple[Tensor, ...]:
        feedback, past = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        y = weighted(gain * signal, feedback, past, self.reverse)
        return y, *moved_on(past, y, self.reverse)


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
        if not cuts:
            return x
        self._projection_of(x, 2)
        if not torch.compiler.is_compiling():
            checked(x, self.layout, self.reverse, cuts)
        # what is there would reach the gradient of the projection
        return without_padding(x, self.layout, cuts)

    def _signal(self, x: torch.Tensor) -> torch.Tensor:
        return self._projected(x, 2)

    def _sample(self, x: torch.Tensor) -> torch.Tensor:
        try:
            sample: Tensor = held(self, "projection")(x)
        except (RuntimeError, TypeError):
            self._projection_of(x, 1)
            raise
        return sample

    def _at_once(self, sample: Tensor, state: Any) -> tuple[Tensor, State] | None:
        if type(state) is not State or not self.order or torch.compiler.is_compiling():
            return None
        if torch.is_grad_enabled() and (sample.requires_grad or any(part.requires_grad for part in self.parameters())):
            # coefficients would be made twice
            return None
        inputs, outputs = state
        # there are none, but they have a shape, and what does not fit is refused with a block
        empty = join_shape(tuple(sample.shape[:-1]), self.channels, 0, self.layout)
        if (
            not isinstance(outputs, Tensor)
            or not isinstance(inputs, Tensor)
            or inputs.shape != empty
            or inputs.dtype != sample.dtype
        ):
            return None
        own = torch.float64 if self._precision(sample) == "float64" else torch.float32
        lies: tuple[Lies, ...] = "sample", "columns", "columns", "past"
        step = _Filter(self.reverse), self.order, lies, (sample.dtype, own), self.layout, self.backend
        found = at_once(step, (sample, *self._now(), outputs.contiguous()))
        return None if found is None else (found[0], State(inputs, found[1]))

    def _outline(self, x: torch.Tensor) -> torch.Tensor:
        # an empty block, because autocast decides the projection's dtype
        self._projection_of(x, 2)
        return self._signal(x[:0] if self.layout == "TBC" else x[..., :0, :])

    def _projected(self, x: torch.Tensor, axes: int) -> torch.Tensor:
        return project(self._projection_of(x, axes), x)

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
