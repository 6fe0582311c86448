"""QRNN: gates that see a window of x, and pooling by a forget gate and an output gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from multirec._core.axes import unambiguous
from multirec._core.scalars import whole
from multirec._core.state import State

from .._contract.arguments import check_weight_dtype
from .._contract.projection import project
from .._contract.unit import add_time, time_axis
from .._weights.closed_form import Tensors, coefficients
from .gated import ONE, GatedUnit, takes, wide
from .sequence_unit import Options

__all__ = ["QRNN"]


@dataclass(frozen=True)
class _Gates:
    """Of (candidate, update, output): gates 1 - σ(update), values σ(update)·tanh(candidate), and σ(output)."""

    output: bool

    def mixture(self, candidate: Tensor, update: Tensor, *output: Tensor) -> Tensors:
        return torch.sigmoid(update), torch.tanh(candidate), *map(torch.sigmoid, output)

    def composed(self, weights: Tensors) -> Tensors:
        (projected,) = weights
        update, candidate, *output = self.mixture(*wide(projected).chunk(3 if self.output else 2, -1))
        values = (update * candidate).to(projected.dtype)
        return 1.0 - update, values, *(part.to(projected.dtype) for part in output)

    def applies(self, weights: Tensors) -> bool:
        return takes(weights)

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        candidate, update, *output = weights[0].chunk(3 if self.output else 2, -1)
        gates, candidate = update.sigmoid(), candidate.tanh()
        values = gates * candidate
        torch.sub(ONE, gates, out=gates)
        results = gates, values, *(part.sigmoid() for part in output)
        return results, (gates, candidate, *results[2:])

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        gates, candidate, *output = kept
        of_gates, of_values, *of_output = grads
        grad = torch.empty_like(weights[0])
        of_candidate, of_update, *of_logits = grad.chunk(3 if self.output else 2, -1)
        aten = torch.ops.aten
        torch.mul(of_values, candidate, out=of_update).sub_(of_gates)
        aten.sigmoid_backward.grad_input(of_update, gates, grad_input=of_update)
        torch.addcmul(of_values, of_values, gates, value=-1, out=of_candidate)
        aten.tanh_backward.grad_input(of_candidate, candidate, grad_input=of_candidate)
        for of_logit, of_gate, gate in zip(of_logits, of_output, output, strict=True):
            aten.sigmoid_backward.grad_input(of_gate, gate, grad_input=of_logit)
        return (grad,)


class QRNN(GatedUnit):
    """c[t] = (1 - f)·c[t-1] + f·z, outs = o·c: the quasi-recurrent unit with fo-pooling.

    z = tanh, f = σ and o = σ of projections of x[t] … x[t-window+1]. f is the share of the new, as in the authors' code
    and in SpeechBrain; in the paper f is that of the old, 1 - f here.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    window
        How many samples of x the projection sees.
    output_gate
        Whether there is one; without it outs = c, f-pooling.
    bias
        Whether the projection has one.
    **options
        `layout`, `reverse`, `backend` and `compute_dtype`, as in `SequenceUnit`.
    device, dtype
        Of the weights. Gates of half types are computed in float32, and so is the state.

    Attributes
    ----------
    projection
        Its weight (3 · hidden_dim, window · inputs_dim) has rows z, f, o and columns x[t], x[t-1], …, as that of
        `linear` in the authors' code has.

    The state's inputs are the last window - 1 samples of x (None for a window of 1), its outputs the last c.

    Source: Bradbury et al., "Quasi-Recurrent Neural Networks", 2017.

    Example
    -------
    >>> unit = QRNN(3, 5, window=2)
    >>> outs, state = unit(torch.randn(20, 2, 3))
    >>> outs.shape, state.inputs.shape, state.outputs.shape
    (torch.Size([20, 2, 5]), torch.Size([1, 2, 3]), torch.Size([1, 2, 5]))
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        window: int = 1,
        output_gate: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        self.window, self.output_gate = whole("window", window, 1), output_gate
        self.formula = _Gates(output_gate)
        seen, gates = self.window * self.inputs_dim, 3 if output_gate else 2
        self.projection = nn.Linear(seen, gates * self.hidden_dim, bias=bias, device=device, dtype=dtype)

    def _kinds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.window - 1, self.inputs_dim), (1, self.hidden_dim)

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        seen, inputs = self._window(x, state.inputs, cuts)
        gates, values, *output = coefficients(self.formula, project(self.projection, seen))
        y, last = self._recur(values, gates, state.outputs, cuts)
        return (y * output[0] if output else y), State(inputs, last)

    def _window(self, x: Tensor, past: Tensor | None, cuts: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Return x[t], x[t-1], … side by side, and the inputs that the state holds after the block."""
        seen, inputs = [x], None
        for delay in range(1, self.window):
            # a filter knows what stands before a block and where sequences begin
            taps = torch.zeros(
                1, delay + 1, dtype=torch.float32 if x.dtype != torch.float64 else x.dtype, device=x.device
            )
            taps[0, delay] = 1.0
            before = None if past is None else State(self._nearest(past, delay))
            delayed, after = self._recurrence(x, unambiguous(taps, x, self.layout), None, before, cuts)
            seen.append(delayed)
            inputs = after.inputs
        return torch.cat(seen, -1) if inputs is not None else x, inputs

    def _nearest(self, past: Tensor, count: int) -> Tensor:
        """Return those `count` inputs before a block that are nearest to it."""
        return past.narrow(time_axis(self.layout), 0 if self.reverse else self.window - 1 - count, count)

    def _finds_out(self, inputs: Any, x: Tensor) -> bool:
        return type(inputs) is Tensor and inputs.dtype == x.dtype if self.window > 1 else inputs is None

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.window == 1:
            return super()._advance(x, state)
        axis, block, inputs = time_axis(self.layout), add_time(x, self.layout), state.inputs
        if inputs is None:
            inputs = torch.zeros_like(block).repeat_interleave(self.window - 1, axis)
        if self.window == 2:
            # x is the caller's, who may write the next sample over it
            seen, inputs = torch.cat([x, inputs.squeeze(axis)], -1), block.clone()
        else:
            seen = torch.cat([x, *inputs.unbind(axis)[:: 1 if self.reverse else -1]], -1)
            kept = inputs.narrow(axis, 0 if self.reverse else 1, self.window - 2)
            inputs = torch.cat([block, kept] if self.reverse else [kept, block], axis)
        outs, last = self._mixed(x, seen, state)
        return outs, State(inputs, last)

    def _own_options(self) -> dict[str, Any]:
        return {"window": 1, "output_gate": True}
