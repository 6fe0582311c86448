"""Units of one projection, gates that do not see the state, and a linear recurrence of order 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from multirec._core.state import State

from .._contract.projection import project
from .._steps.step import held
from .._weights.closed_form import Formula, Tensors, coefficients
from .sequence_unit import SequenceUnit

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

    @property
    def mixture(self) -> Callable[..., Tensors]:
        """Return share, new and perhaps an output gate, of the parts of what is projected."""


@dataclass(frozen=True)
class _Mixed:
    """One sample: of what is projected and what recurs, the output and what recurs then."""

    formula: Mixture

    def __call__(self, *numbers: Tensor) -> Tensors:
        *projected, past = numbers
        share, new, *gate = self.formula.mixture(*projected)
        c = torch.lerp(past, new, share)
        return _product(c, gate), c


def _product(y: Tensor, gate: list[Tensor]) -> Tensor:
    """Return what recurs behind an output gate, if there is one."""
    return y * gate[0] if gate else y


class GatedUnit(SequenceUnit):
    """c[t] = gates[t]·c[t−1] + values[t], where gates and values are a formula of `projection` of x[t]."""

    projection: nn.Linear
    formula: Mixture
    """Of the projected, (…, n · hidden_dim): gates, values, and perhaps an output gate."""

    def _weight(self) -> Tensor:
        return self.projection.weight

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        gates, values, *others = coefficients(self.formula, project(self.projection, x))
        y, last = self._recur(values, gates, state.outputs, cuts)
        return _product(y, others), State(None, last)

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        outs, last = self._mixed(x, x, state)
        return outs, State(None, last)

    def _mixed(self, x: Tensor, seen: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return the outputs of one sample, and what recurs as a state has it."""
        tensors = held(self, "projection")(seen), self._past(state, x)
        return self._elementwise(_Mixed(self.formula), ("sample", "past"), tensors, x, state)

    def reset_parameters(self) -> None:
        """Draw the projection as nn.Linear does."""
        self.projection.reset_parameters()
