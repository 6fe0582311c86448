"""Units of one projection, gates that do not see the state, and a linear recurrence of order 1."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from multirec._core.state import State

from ._closed_form import Formula, Tensors, coefficients
from ._sequence_unit import SequenceUnit
from ._unit import add_time, cast

__all__ = ["ONE", "GatedUnit", "Mixture", "takes", "wide"]

ONE = torch.ones((), dtype=torch.float64, device="cpu")
"""What is left of 1 is written in place by ``torch.sub(ONE, gates, out=gates)``."""
_HALF = (torch.float16, torch.bfloat16)


def wide(tensor: Tensor) -> Tensor:
    """Return half types in float32, in which a gate near 1 is not rounded to 1."""
    return tensor.float() if tensor.dtype in _HALF else tensor


def takes(weights: Tensors) -> bool:
    """Whether a closed form is worth it: not for types that are cast."""
    return weights[0].dtype not in _HALF


class Mixture(Formula, Protocol):
    """Gates that are 1 - share, and values that are share·new: what recurs is a mean of what was and what is new."""

    def mixture(self, projected: Tensor) -> Tensors:
        """Return share, new, and what `_outs` takes besides."""


class GatedUnit(SequenceUnit):
    """c[t] = gates[t]·c[t−1] + values[t], where gates and values are a formula of `projection` of x[t]."""

    projection: nn.Linear
    formula: Mixture
    """Of the projected, (…, n · hidden_dim): (gates, values, and what `_outs` takes besides)."""

    def _weight(self) -> Tensor:
        return self.projection.weight

    def _outs(self, y: Tensor, others: Tensors, x: Tensor) -> Tensor:
        """Return the outputs of what recurs."""
        return y

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        gates, values, *others = coefficients(self.formula, self.projection(x))
        y, last = self._recur(values, gates, state.outputs, cuts)
        return self._outs(y, tuple(others), x), State(None, last)

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        outs, last = self._mixed(self.projection(x), state.outputs, x)
        return outs, State(None, last)

    def _mixed(self, projected: Tensor, past: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs of one sample, (batch…, features), and what recurs as a state has it."""
        dtype, kind = self._state_dtype(x), projected.dtype
        share, new, *others = self.formula.mixture(wide(projected))
        share, new = cast(share, dtype), cast(new, dtype)
        c = share * new if past is None else torch.lerp(self._before(past, dtype), new, share)
        outs = self._outs(cast(c, kind), tuple(cast(part, kind) for part in others), x)
        return outs, add_time(c, self.layout)

    def reset_parameters(self) -> None:
        """Draw the projection as nn.Linear does."""
        self.projection.reset_parameters()
