"""SRU: a light recurrence with a forget gate, and a highway from x to the outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from multirec._core.state import State
from multirec._nonlinear import sru
from multirec._torch.linear import linear
from multirec.errors import ArgumentError

from .._contract.arguments import check_weight_dtype
from .._contract.projection import is_plain, project
from .._contract.unit import add_time, drop_time
from .._steps.step import Lies, held
from .._weights.closed_form import coefficients
from . import sru_published as published
from .sequence_unit import Options, SequenceUnit
from .sru_gates import Gates, Highway, Sample

__all__ = ["SRU"]

_ACTIVATIONS = "identity", "tanh"


class SRU(SequenceUnit):
    """The simple recurrent unit::

        f = σ(W_f x[t] + v_f·c[t-1] + b_f)      c[t] = f·c[t-1] + (1 - f)·W x[t]
        r = σ(W_r x[t] + v_r·c[t-1] + b_r)   outs[t] = r·c[t] + (1 - r)·x'[t]

    The highway x' is scale·x[t], or W' x[t] where inputs and outputs have different numbers of features.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    v1
        Without v_f and v_r: the recurrence is linear, and every backend computes it. The default has an activation
        inside the recurrence, which `backend` must know.
    highway
        Whether there is one; else outs = r·c.
    highway_bias
        First value of b_r.
    rescale
        Whether scale is √(1 + 2·exp(highway_bias)), which keeps the size of x at first; else it is 1.
    activation
        ``"identity"``, or ``"tanh"`` of c in the outputs.
    **options
        `layout`, `reverse`, `backend` and, with v1, `compute_dtype`, as in `SequenceUnit`.
    device, dtype
        Of the weights. c of half types is computed in float32.

    Attributes
    ----------
    projection
        Its weight has the rows of W, W_f, W_r and, if there is one, W'.
    state_weight, bias
        (2, hidden_dim): v_f and v_r (None with v1), b_f and b_r.

    The state's outputs are the last c.

    Source: Lei et al., "Simple Recurrent Units for Highly Parallelizable Recurrence", 2018.

    Example
    -------
    >>> unit = SRU(5, 5, v1=True)
    >>> outs, state = unit(torch.randn(20, 2, 5))
    >>> outs.shape, state.outputs.shape
    (torch.Size([20, 2, 5]), torch.Size([1, 2, 5]))
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        v1: bool = False,
        highway: bool = True,
        highway_bias: float = 0.0,
        rescale: bool = True,
        activation: str = "identity",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        if activation not in _ACTIVATIONS:
            raise ArgumentError(f"unknown activation {activation!r} of an SRU. There are {', '.join(_ACTIVATIONS)}.")
        if self.compute_dtype is not None and not v1:
            raise ArgumentError(
                f"compute_dtype={self.compute_dtype!r} is for linear recurrences, so for v1=True. Leave it out, or use "
                "weights and x of float64."
            )
        self.v1, self.highway, self.highway_bias, self.rescale = v1, highway, float(highway_bias), rescale
        self.activation = activation
        self.projected = highway and self.inputs_dim != self.hidden_dim
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        hidden = self.hidden_dim
        self.projection = nn.Linear(self.inputs_dim, (4 if self.projected else 3) * hidden, bias=False, **kind)
        own = None if v1 else nn.Parameter(torch.empty(2, hidden, **kind))
        self.register_parameter("state_weight", own)
        self.bias = nn.Parameter(torch.empty(2, hidden, **kind))
        self.reset_parameters()

    state_weight: nn.Parameter | None

    @property
    def _needs_all(self) -> str:  # type: ignore[override]
        return "" if self.v1 else "has gates that read its state, being without v1=True"

    @property
    def scale(self) -> float:
        """What x is multiplied by on the highway; at first the projected one has it in its weights."""
        return self._gain if self.highway and not self.projected else 1.0

    @property
    def _gain(self) -> float:
        return math.sqrt(1 + 2 * math.exp(self.highway_bias)) if self.rescale else 1.0

    def reset_parameters(self) -> None:
        """Draw weights of variance 1/inputs_dim, those of gates smaller where they see c, and biases as given."""
        bound = (3 / self.inputs_dim) ** 0.5
        with torch.no_grad():
            self.bias[0].zero_()
            self.bias[1].fill_(self.highway_bias)
            self.projection.weight.uniform_(-bound, bound)
            blocks = self.projection.weight.view(-1, self.hidden_dim, self.inputs_dim)
            if self.projected:
                blocks[3].mul_(self._gain)
            if self.state_weight is not None:
                blocks[1:3].mul_(0.5**0.5)
                self.state_weight.uniform_(-(1.5**0.5), 1.5**0.5)

    def load_published(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take the weights of an SRUCell of the authors' package, of one direction, from its `state_dict`.

        Raises
        ------
        ArgumentError
            It is of other sizes or options than this unit.
        """
        published.load(self, state_dict)

    def _weight(self) -> Tensor:
        return self.projection.weight

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        if self.v1:
            gates, values, reset, skip = self._linear(x)
            c, last = self._recur(values, gates, state.outputs, cuts)
            return self._outs(c, reset, skip), State(None, last)
        assert self.state_weight is not None
        past = None if state.outputs is None else drop_time(state.outputs, self.layout)
        outs, last = sru(
            project(self.projection, x),
            self.state_weight,
            self.bias,
            past,
            highway=x if self.highway and not self.projected else None,
            scale=self.scale,
            activation=self.activation,
            layout=self.layout,
            reverse=self.reverse,
            backend=self.backend,
            **cuts,
        )
        return outs, State(None, add_time(last, self.layout))

    def _linear(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return gates, values, reset gate and highway of v1."""
        split, projection, bias = 3 * self.hidden_dim, self.projection, self.bias.flatten()
        # of W there is no bias
        bias = torch.cat([torch.zeros_like(bias[: self.hidden_dim]), bias])
        skip = x if self.highway else None
        if is_plain(projection) and projection.bias is None:
            projected = linear(x, projection.weight[:split], bias)
            skip = linear(x, projection.weight[split:]) if self.projected else skip
        else:
            # an adapter in its place, or a hook, does more than its weight says
            whole = projection(x)
            projected = whole[..., :split] + bias.to(whole.dtype)
            skip = whole[..., split:] if self.projected else skip
        gates, values, reset = coefficients(Gates(), projected)
        return gates, values, reset, skip

    def _outs(self, c: Tensor, reset: Tensor, skip: Tensor | None) -> Tensor:
        active = c if self.activation == "identity" else c.tanh()
        if skip is None:
            return active * reset
        return coefficients(Highway(self.scale), active, reset, skip)[0]

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        lies: tuple[Lies, ...] = "sample", "past", "rows"
        tensors: tuple[Tensor, ...] = held(self, "projection")(x), self._past(state, x), held(self, "bias")
        if not self.v1:
            lies, tensors = (*lies, "rows"), (*tensors, held(self, "state_weight"))
        if self.highway and not self.projected:
            lies, tensors = (*lies, "sample"), (*tensors, x.contiguous())
        formula = Sample(self.v1, self.highway, self.projected, self.scale, self.activation)
        outs, last = self._elementwise(formula, lies, tensors, x, state)
        return outs, State(None, last)

    def _own_options(self) -> dict[str, Any]:
        return {"v1": False, "highway": True, "highway_bias": 0.0, "rescale": True, "activation": "identity"}
