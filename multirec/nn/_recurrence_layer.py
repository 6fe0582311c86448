"""A recurrent layer whose hidden units do not see each other: a projection, then one recurrence a unit."""

from __future__ import annotations

import torch
from torch import nn

from multirec import State
from multirec._core.problem import ComputeDtype
from multirec.errors import ArgumentError, DtypeError, ShapeError

from . import _stable
from ._filter_unit import FilterUnit, require_tensor, whole

__all__ = ["RecurrenceLayer"]


class RecurrenceLayer(FilterUnit):
    """A linear projection to `hidden_dim` units, each followed by its own stable recurrence.

    h[t] = gain · (W x[t] + bias) + Σ feedback[k]·h[t-k], unit by unit. As in `FilterBank`, the feedback is
    stable for every value of `reflection_weight`. gain = √Π(1 - reflection²) keeps the power of white noise,
    so that long memory does not mean large outputs.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    order
        Number p of past outputs that each unit sees.
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
    x (T, B, inputs_dim) gives outs (T, B, hidden_dim) and the `multirec.State`.

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
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        order: int = 2,
        *,
        bias: bool = True,
        layout: str = "TBC",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        inputs_dim, hidden_dim = whole("inputs_dim", inputs_dim, 1), whole("hidden_dim", hidden_dim, 1)
        if layout == "BCT":
            raise ArgumentError(
                "RecurrenceLayer takes layout 'TBC' or 'BTC', got 'BCT': its projection is of the last axis. "
                "For channels before time use Conv1d(inputs_dim, hidden_dim, 1) and a FilterBank in a Chain."
            )
        super().__init__(hidden_dim, order, 0, layout, reverse, backend, compute_dtype, dtype)
        self.projection = nn.Linear(inputs_dim, hidden_dim, bias=bias, device=device, dtype=dtype)
        self.reflection_weight = nn.Parameter(torch.empty(hidden_dim, order, device=device, dtype=dtype))
        self._reset_recurrence()

    @property
    def inputs_dim(self) -> int:
        """Number of features of x."""
        return self.projection.in_features

    @property
    def hidden_dim(self) -> int:
        """Number of units, and of features of the outputs."""
        return self.channels

    def reset_parameters(self) -> None:
        """Draw the projection as nn.Linear does, and units that remember from one to some hundred samples."""
        self.projection.reset_parameters()
        self._reset_recurrence()

    def _reset_recurrence(self) -> None:
        with torch.no_grad():
            self.reflection_weight.normal_(std=0.1)
            self.reflection_weight[:, :1].uniform_(-3.0, 0.0)

    def coefficients(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (feedforward (C, 1), which is the gain, feedback (C, p)), differentiable."""
        dtype = _stable.coefficient_dtype(self.reflection_weight, self.compute_dtype)
        k = _stable.reflection(self.reflection_weight, dtype)
        return (1 / _stable.noise_gain(k)).to(dtype).T, _stable.feedback(k).to(dtype).T

    def init_state(self, x: torch.Tensor) -> State:
        """Return the zero state for a block like `x`."""
        self._check(x)
        # an empty block, because autocast decides the projection's dtype
        return self._zeros(self.projection(x[:0] if self.layout == "TBC" else x[..., :0, :]))

    def compute(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Project the block `x` and run the recurrence from `state`."""
        self._check(x)
        return self._filter(self.projection(x), state)

    def _check(self, x: torch.Tensor) -> None:
        require_tensor(self, x)
        if x.ndim < 2 or x.shape[-1] != self.inputs_dim:
            raise ShapeError(
                f"RecurrenceLayer({self.inputs_dim}, {self.hidden_dim}) takes x in layout {self.layout!r} "
                f"with {self.inputs_dim} features on the last axis, got shape {tuple(x.shape)}."
            )
        own = self.projection.weight.dtype
        if x.dtype != own and not torch.is_autocast_enabled(x.device.type):
            raise DtypeError(
                f"x is {x.dtype} and the projection's weights are {own}. Cast x with x.to({own}), or move the layer to "
                "x's type with layer.to(…)."
            )

    def extra_repr(self) -> str:
        return f"{self.inputs_dim}, {self.hidden_dim}, order={self.order}" + self._options(layout="TBC")
