"""RNN: the dense recurrence of torch in the contract of this library's units."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from multirec._core.state import State
from multirec._torch.function import transformed
from multirec.errors import ArgumentError, UnsupportedError

from .._contract.arguments import check_weight_dtype
from .._contract.marked import states_of
from .._contract.spans import in_spans
from .._contract.unit import add_time, cast, drop_time, time_axis
from .._steps.step import held
from .sequence_unit import Options, SequenceUnit

__all__ = ["RNN"]


class RNN(SequenceUnit):
    """h[t] = tanh(W x[t] + b + U h[t-1] + b'): torch's nn.RNN, with the state and the calls of the other units.

    Its units see each other, so it is no recurrence of multirec: torch computes it, and `backend` and `compute_dtype`
    have no other choice than ``"auto"`` and None.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    bias
        Whether there are b and b'.
    **options
        `layout` and `reverse`, as in `SequenceUnit`.
    device, dtype
        Of the weights, which have the names of nn.RNN's: ``load_state_dict(torch_rnn.state_dict())`` loads one of one
        layer and direction.

    Example
    -------
    >>> unit, known = RNN(3, 5), nn.RNN(3, 5)
    >>> unit.load_state_dict(known.state_dict())
    <All keys matched successfully>
    >>> x = torch.randn(20, 2, 3)
    >>> torch.allclose(unit(x)[0], known(x)[0])
    True
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        if self.backend != "auto" or self.compute_dtype is not None:
            raise ArgumentError(
                f"RNN is a dense recurrence, which torch computes, got backend={self.backend!r} and "
                f"compute_dtype={self.compute_dtype!r}. Leave both out; IndRNN is the one that backends compute."
            )
        self.bias = bias
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        hidden = self.hidden_dim
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden, self.inputs_dim, **kind))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden, hidden, **kind))
        if bias:
            self.bias_ih_l0 = nn.Parameter(torch.empty(hidden, **kind))
            self.bias_hh_l0 = nn.Parameter(torch.empty(hidden, **kind))
        self.reset_parameters()

    _needs_all = "is no recurrence of multirec, and its state is inside of a tanh"

    def reset_parameters(self) -> None:
        """Draw all weights as nn.RNN does."""
        bound = self.hidden_dim**-0.5
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-bound, bound)

    def _weight(self) -> Tensor:
        return self.weight_ih_l0

    def _weights(self) -> list[Tensor]:
        # by name: those of a parametrization are not the module's own
        biases = [self.bias_ih_l0, self.bias_hh_l0] if self.bias else []
        return [self.weight_ih_l0, self.weight_hh_l0, *biases]

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        if cuts and (torch.compiler.is_compiling() or transformed()):
            raise UnsupportedError(
                f"RNN is given {' and '.join(cuts)} inside of torch.compile, torch.export or torch.func: torch runs "
                "sequences packed, and where they lie is worked out of values. Call it outside, or use another unit."
            )
        x, state = self._begin(x, state, cuts)
        past = self._hidden(x, state, cuts)
        if cuts:
            outs, last = in_spans(self._run_packed, x, past, self.layout, self.reverse, cuts)
        else:
            outs, last = self._run(x, past)
        return outs, State(None, add_time(last.to(self._state_dtype(x)), self.layout))

    def _hidden(self, x: Tensor, state: State, cuts: dict[str, Any]) -> Tensor:
        """Return h before the block, (batch…, hidden_dim)."""
        if state.outputs is not None:
            return drop_time(state.outputs, self.layout)
        return x.new_zeros(*states_of(x, self.layout, cuts), self.hidden_dim)

    def _run(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return h of a block, and the last one."""
        if not x.numel():
            return self._of_nothing(x), past
        time = time_axis(self.layout)
        x = x.flip(time) if self.reverse else x
        batch = past.shape[:-1]
        # torch has one batch axis
        flat = x.reshape(len(x), -1, x.shape[-1]) if time == 0 else x.reshape(-1, *x.shape[-2:])
        hidden = past.reshape(1, -1, self.hidden_dim).to(x.dtype)
        outs, last = torch.rnn_tanh(flat, hidden, self._weights(), self.bias, 1, 0.0, self.training, False, time != 0)
        outs = outs.reshape(*x.shape[:-1], self.hidden_dim)
        return outs.flip(time) if self.reverse else outs, last.reshape(*batch, self.hidden_dim)

    def _of_nothing(self, x: Tensor) -> Tensor:
        """Return h of a block without elements, which torch does not take; its gradients are zeros."""
        bias, other = (self.bias_ih_l0, self.bias_hh_l0) if self.bias else (None, None)
        past = x.new_zeros(*x.shape[:-1], self.hidden_dim)
        return torch.tanh(linear(x, self.weight_ih_l0, bias) + linear(past, self.weight_hh_l0, other))

    def _run_packed(self, data: Tensor, batch_sizes: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        if not data.numel():
            return self._of_nothing(data), past
        outs, last = torch.rnn_tanh(
            data, batch_sizes, past[None].to(data.dtype), self._weights(), self.bias, 1, 0.0, self.training, False
        )
        return outs, last[0]

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        bias, other = (held(self, f"bias_{name}_l0") if self.bias else None for name in ("ih", "hh"))
        h = linear(x, held(self, "weight_ih_l0"), bias)
        past = self._past(state, x)
        if past.dtype != self._state_dtype(x) or past.ndim != h.ndim + 1:
            self._checked(state, x.shape[:-1], x)
        own = linear(cast(drop_time(past, self.layout), x.dtype), held(self, "weight_hh_l0"), other)
        outs, last = self._elementwise(_sum, ("sample", "sample"), (h, own), x, state)
        return outs, State(None, last)

    def _own_options(self) -> dict[str, Any]:
        return {"bias": True}


def _sum(into: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
    """One sample: of what x and the last h are projected to, h as the output and as the state."""
    h = torch.tanh(into + recurrent)
    return h, h
