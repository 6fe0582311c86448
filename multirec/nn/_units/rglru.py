"""RG-LRU: a linear recurrence whose decay and input have gates of x, and which keeps the power of its input."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from multirec._core.axes import unambiguous
from multirec._core.scalars import whole
from multirec._core.state import State
from multirec._torch.linear import linear
from multirec.errors import ArgumentError, ShapeError

from .._contract.arguments import check_weight_dtype
from .._contract.projection import project
from .._contract.unit import cast, drop_time, time_axis
from .._steps.step import Lies, at_once, held
from .._weights.closed_form import coefficients
from .rglru_gates import Gates, sample
from .sequence_unit import Options, SequenceUnit

__all__ = ["RGLRU"]


class RGLRU(SequenceUnit):
    """h[t] = a·h[t-1] + √(1 - a²)·i·u[t]: the real-gated linear recurrent unit of Griffin and RecurrentGemma.

    a = exp(-8·softplus(w)·r), and r, i = σ of block-diagonal projections of u. u is x, or a projection of it where
    inputs and outputs have different numbers of features. At the first sample of a sequence, where nothing stands
    before it or a reset is, the square root is 1.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    heads
        Number of blocks of the gates' projections; it divides `hidden_dim`.
    **options
        `layout`, `reverse`, `backend` and `compute_dtype`, as in `SequenceUnit`.
    device, dtype
        Of the weights. Gates of half types are computed in float32, and so is the state.

    Attributes
    ----------
    gate_weight, gate_bias
        (heads, n, 2·n) and (heads, 2·n) with n = hidden_dim / heads: of i, then of r.
    decay_weight
        (hidden_dim,) w.
    projection
        Of x to u, or None.

    The state's outputs are the last h. A state stands after a sample, so `init_state` is empty: `multirec.State()`. For
    zeros of a fixed shape before a first sample pass ``state.outputs`` of zeros, and resets that are True there.

    Source: De et al., "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models",
    2024.

    Example
    -------
    >>> unit = RGLRU(6, 6, heads=2)
    >>> outs, state = unit(torch.randn(20, 2, 6))
    >>> outs.shape, state.outputs.shape
    (torch.Size([20, 2, 6]), torch.Size([1, 2, 6]))
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        heads: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        self.heads = whole("heads", heads, 1)
        if self.hidden_dim % self.heads:
            raise ArgumentError(f"heads divides hidden_dim, got heads={heads} and hidden_dim={hidden_dim}.")
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        width = self.hidden_dim // self.heads
        same = self.inputs_dim == self.hidden_dim
        self.projection = None if same else nn.Linear(self.inputs_dim, self.hidden_dim, **kind)
        self.gate_weight = nn.Parameter(torch.empty(self.heads, width, 2 * width, **kind))
        self.gate_bias = nn.Parameter(torch.empty(self.heads, 2 * width, **kind))
        self.decay_weight = nn.Parameter(torch.empty(self.hidden_dim, **kind))
        self._reset_recurrence()

    def reset_parameters(self) -> None:
        """Draw gates of variance 1 without bias, and decays: exp(-8·softplus(w)) from 0.9 to 0.999."""
        if self.projection is not None:
            self.projection.reset_parameters()
        self._reset_recurrence()

    def _reset_recurrence(self) -> None:
        with torch.no_grad():
            self.gate_weight.normal_(std=(self.heads / self.hidden_dim) ** 0.5)
            self.gate_bias.zero_()
            decay = torch.empty_like(self.decay_weight, dtype=torch.float32).uniform_(0.9, 0.999).log() / -8.0
            self.decay_weight.copy_(torch.expm1(decay).log())

    def load_published(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take the weights of RecurrentGemma's `rg_lru`, as transformers names them, from its `state_dict`."""
        width = self.hidden_dim // self.heads
        own: dict[str, tuple[int, ...]] = {"recurrent_param": (self.hidden_dim,)}
        for gate in ("input_gate", "recurrent_gate"):
            own |= {f"{gate}_weight": (self.heads, width, width), f"{gate}_bias": (self.heads, width)}
        found = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
        if found != own:
            raise ShapeError(
                f"RGLRU({self.inputs_dim}, {self.hidden_dim}, heads={self.heads}) takes weights of shapes {own}, got "
                f"{found}: the state_dict is of something else, or of other sizes."
            )
        with torch.no_grad():
            self.decay_weight.copy_(state_dict["recurrent_param"])
            for name, own_part in (("weight", self.gate_weight), ("bias", self.gate_bias)):
                parts = [state_dict[f"{gate}_{name}"] for gate in ("input_gate", "recurrent_gate")]
                own_part.copy_(torch.cat(parts, -1))

    def _weight(self) -> Tensor:
        return self.gate_weight

    def init_state(self, x: Tensor) -> State:
        """Return the empty state: nothing stands before a first block."""
        self._check(x, 2)
        return State()

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        u = x if self.projection is None else project(self.projection, x)
        y, last = self._gated(u, state.outputs, cuts)
        return y, State(None, last)

    def _gated(self, u: Tensor, past: Tensor | None, cuts: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return h of a block u, and the last one as a state has it."""
        formula = Gates(self._first(u, past is None, cuts))
        gates, values = coefficients(formula, u, self._logits(u), self.decay_weight)
        return self._recur(values, gates, past, cuts)

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, last = self._gated_sample(x if self.projection is None else self.projection(x), state.outputs)
        return y, State(None, last)

    def _gated_sample(self, u: Tensor, past: Tensor | None, *branches: Tensor) -> tuple[Tensor, Tensor]:
        """Return h of one sample, times the GELU of the first of two branches side by side, and as a state has it."""
        logits = self._logits(u)
        if past is not None:
            lies: tuple[Lies, ...] = "sample", "sample", "rows", "past"
            lies = (*lies, "sample") if branches else lies
            tensors = u.contiguous(), logits, held(self, "decay_weight"), past.contiguous(), *branches
            found = at_once((sample, 1, lies, (u.dtype, self._state_dtype(u)), self.layout, self.backend), tensors)
            if found is not None:
                return found
            self._checked(State(None, past), u.shape[:-1], u)
        first = None if past is not None else torch.ones((), dtype=torch.bool, device=u.device)
        gates, values = coefficients(Gates(first), u, logits, self.decay_weight)
        dtype = self._state_dtype(u)
        h = cast(values, dtype)
        if past is not None:
            h = torch.addcmul(h, cast(gates, dtype), cast(drop_time(past, self.layout), dtype))
        y = cast(h, values.dtype)
        for branch in branches:
            y = y * gelu(branch.chunk(2, -1)[0], approximate="tanh")
        # a copy: what a caller writes over the output is not written over the state
        return y, torch.stack([h], time_axis(self.layout))

    def _logits(self, u: Tensor) -> Tensor:
        """Return the gates before σ, (…, 2·hidden_dim)."""
        if self.heads == 1:
            if u.ndim == 2:
                return torch.addmm(held(self, "gate_bias"), u, held(self, "gate_weight").squeeze(0))
            return linear(u, self.gate_weight.squeeze(0).T, self.gate_bias.squeeze(0))
        width = self.hidden_dim // self.heads
        blocks = u.reshape(prod(u.shape[:-1]), self.heads, width).transpose(0, 1)
        logits = torch.baddbmm(self.gate_bias.unsqueeze(1), blocks, self.gate_weight)
        # from (heads, N, 2·n) to the one gate, then the other
        both = logits.view(*logits.shape[:-1], 2, width).permute(1, 2, 0, 3)
        return both.reshape(*u.shape[:-1], 2 * self.hidden_dim)

    def _first(self, u: Tensor, nothing_before: bool, cuts: dict[str, Any]) -> Tensor | None:
        """Return where the first samples of sequences are, an axis of 1 in place of features; None is nowhere."""
        if not cuts and not nothing_before:
            return None
        if not cuts and self._time_mesh is None:
            axis = time_axis(self.layout) % u.ndim
            length = u.shape[axis]
            steps = torch.arange(length, device=u.device)
            return (steps == (length - 1 if self.reverse else 0)).reshape(length, *[1] * (u.ndim - 1 - axis))
        # what a filter of one tap sees of ones is what stands before a sample
        ones = torch.ones_like(u[..., :1], dtype=torch.float32)
        taps = torch.tensor([[0.0, 1.0]], device=u.device)
        before = None if nothing_before else State(torch.ones([1] * u.ndim, device=u.device))
        seen, _ = self._recurrence(ones, unambiguous(taps, ones, self.layout), None, before, cuts)
        return torch.eq(seen, 0)

    def _own_options(self) -> dict[str, Any]:
        return {"heads": 1}
