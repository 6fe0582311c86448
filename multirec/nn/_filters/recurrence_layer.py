"""A recurrent layer whose hidden units do not see each other: a projection, then one recurrence a unit."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from multirec._core.problem import ComputeDtype
from multirec._core.scalars import whole
from multirec._core.validate import as_choices
from multirec.backend import Layout
from multirec.errors import ArgumentError

from .._contract.arguments import check_order, check_weight_dtype, unknown_options
from .._weights import stable
from .._weights.all_pole import AllPole
from .._weights.closed_form import coefficients
from .filter_unit import Pair
from .frozen import FrozenLayer
from .learned import LearnedUnit
from .projected import ProjectedUnit

__all__ = ["RecurrenceLayer"]


class RecurrenceLayer(LearnedUnit, ProjectedUnit):
    """A linear projection to `hidden_dim` units, each followed by its own stable recurrence.

    h[t] = gain · (W x[t] + bias) + Σ feedback[k]·h[t-k], unit by unit. As in `FilterBank`, the feedback is
    stable for every value of `reflection_weight`. gain = √Π(1 - reflection²) keeps the power of white noise,
    so that long memory does not mean large outputs.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    order
        Number p of past outputs that each unit sees, at most 256.
    bias
        Whether the projection has one.
    layout
        ``"TBC"`` (sequence first) or ``"BTC"``: the projection needs the features last.
    reverse
        Run backwards in time.
    backend
        Name of a multirec backend; ``"auto"`` picks by the problem.
    compute_dtype
        As in `multirec.recurrence`: ``"float64"`` for what float32 signals and weights are computed in.
    device, dtype
        Of the weights.

    Shapes
    ------
    x (T, B, inputs_dim), or (T, inputs_dim) without a batch, gives outs (T, B, hidden_dim) and the `multirec.State`.
    `step` takes (B, inputs_dim) and gives (B, hidden_dim).

    Raises
    ------
    ShapeError
        The last axis of x is not `inputs_dim`.
    DtypeError
        x has not the weights' dtype (under autocast it may have another), or `dtype` is complex.
    FamilyError
        x is not a torch tensor.

    Example
    -------
    >>> layer = RecurrenceLayer(3, 8)
    >>> outs, state = layer(torch.randn(20, 2, 3))
    >>> outs.shape
    torch.Size([20, 2, 8])
    >>> outs, state = layer(torch.randn(20, 2, 3), state.detach())
    >>> out, state = layer.step(torch.randn(2, 3), state)
    >>> out.shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        order: int = 2,
        bias: bool = True,
        layout: Layout = "TBC",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **others: Any,
    ) -> None:
        if others:
            raise unknown_options("RecurrenceLayer", others)
        inputs_dim, hidden_dim = whole("inputs_dim", inputs_dim, 1), whole("hidden_dim", hidden_dim, 1)
        if layout == "BCT":
            raise ArgumentError(
                "RecurrenceLayer takes layout 'TBC' or 'BTC', got 'BCT': its projection is of the last axis. "
                "For channels before time use Conv1d(inputs_dim, hidden_dim, 1) and a FilterBank in a Chain."
            )
        order = check_order(order)
        check_weight_dtype(self, dtype)
        super().__init__(hidden_dim, order, 0, as_choices(layout, reverse, backend, compute_dtype))
        self.projection = nn.Linear(inputs_dim, hidden_dim, bias=bias, device=device, dtype=dtype)
        self.reflection_weight = nn.Parameter(torch.empty(hidden_dim, order, device=device, dtype=dtype))
        self._reset_recurrence()

    def reset_parameters(self) -> None:
        """Draw the projection as nn.Linear does, and units that remember from one to some hundred samples."""
        self.projection.reset_parameters()
        self._reset_recurrence()

    def _reset_recurrence(self) -> None:
        with torch.no_grad():
            self.reflection_weight.normal_(std=0.1)
            self.reflection_weight[:, :1].uniform_(-3.0, 0.0)

    def _weights(self) -> tuple[torch.Tensor, ...]:
        return (self.reflection_weight,)

    def _made_of(self, *weights: torch.Tensor) -> Pair:
        dtype = stable.coefficient_dtype(weights[0], self.compute_dtype)
        gain, feedback = coefficients(AllPole(dtype, scaled=True), *weights)
        return gain, feedback

    def freeze(self) -> FrozenLayer:
        """Return a layer that keeps the projection and the coefficients as they are now: a call computes none.

        It shares nothing with this one and does not follow it.
        """
        return FrozenLayer(self)

    def extra_repr(self) -> str:
        return f"{self.inputs_dim}, {self.hidden_dim}, order={self.order}" + self._options(layout="TBC")
