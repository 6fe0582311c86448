"""IndRNN: recurrent units that do not see each other, with an activation inside the recurrence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from multirec._core.scalars import whole
from multirec._core.state import State
from multirec._nonlinear import independent
from multirec.errors import ArgumentError

from .._contract.arguments import check_weight_dtype
from .._contract.projection import project
from .._steps.lines import moved_on, weighted
from .._steps.step import held
from .sequence_unit import Options, SequenceUnit

__all__ = ["IndRNN"]

_ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


@dataclass(frozen=True)
class _Sum:
    """One sample: of what x is projected to, u and the last h, h and the last ones then."""

    activation: str
    reverse: bool

    def __call__(self, driven: Tensor, *numbers: Tensor) -> tuple[Tensor, ...]:
        weights, past = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        h = _ACTIVATIONS[self.activation](weighted(driven, weights, past, self.reverse))
        return h, *moved_on(past, h, self.reverse)


class IndRNN(SequenceUnit):
    """h[t] = activation(W x[t] + b + Σ_k u[:, k]·h[t-k-1]): the independently recurrent network, of any order.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    order
        Number of past outputs that each unit sees; 1 is the published unit.
    activation
        ``"relu"`` or ``"tanh"``.
    bias
        Whether the projection has one.
    **options
        `layout`, `reverse` and `backend`, as in `SequenceUnit`. `compute_dtype` is for linear recurrences.
    device, dtype
        Of the weights. The state of half types is float32.

    Attributes
    ----------
    projection, recurrent_weight
        W and b; u (hidden_dim, order). ``|u| ≤ 2^(1/n)`` keeps relu units from growing more than twofold in n samples.

    The state's outputs are the last `order` outputs.

    Source: Li et al., "Independently Recurrent Neural Network (IndRNN)", 2018.

    Example
    -------
    >>> unit = IndRNN(3, 5, order=2)
    >>> outs, state = unit(torch.randn(20, 2, 3))
    >>> outs.shape, state.outputs.shape
    (torch.Size([20, 2, 5]), torch.Size([2, 2, 5]))
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        order: int = 1,
        activation: str = "relu",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        if activation not in _ACTIVATIONS:
            raise ArgumentError(f"unknown activation {activation!r} of an IndRNN. There are {', '.join(_ACTIVATIONS)}.")
        if self.compute_dtype is not None:
            raise ArgumentError(
                f"compute_dtype={self.compute_dtype!r} is for linear recurrences. Leave it out, or use weights and x "
                "of float64."
            )
        self.order, self.activation = whole("order", order, 1), activation
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.projection = nn.Linear(self.inputs_dim, self.hidden_dim, bias=bias, **kind)
        self.recurrent_weight = nn.Parameter(torch.empty(self.hidden_dim, self.order, **kind))
        self._reset_recurrence()

    _needs_all = "has its state inside of an activation"

    def reset_parameters(self) -> None:
        """Draw the projection as nn.Linear does, and memories of all lengths: u[:, 0] from 0 to 1, the others 0."""
        self.projection.reset_parameters()
        self._reset_recurrence()

    def _reset_recurrence(self) -> None:
        with torch.no_grad():
            self.recurrent_weight.zero_()
            self.recurrent_weight[:, 0].uniform_()

    def _weight(self) -> Tensor:
        return self.projection.weight

    def _kinds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (0, self.inputs_dim), (self.order, self.hidden_dim)

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        outs, last = independent(
            project(self.projection, x),
            self.recurrent_weight,
            state.outputs,
            activation=self.activation,
            layout=self.layout,
            reverse=self.reverse,
            backend=self.backend,
            **cuts,
        )
        return outs, State(None, last)

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        formula = _Sum(self.activation, self.reverse)
        tensors = held(self, "projection")(x), held(self, "recurrent_weight"), self._past(state, x)
        outs, last = self._elementwise(formula, ("sample", "columns", "past"), tensors, x, state)
        return outs, State(None, last)

    def _own_options(self) -> dict[str, Any]:
        return {"order": 1, "activation": "relu"}
