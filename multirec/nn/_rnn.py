"""RNN: the dense recurrence of torch in the contract of this library's units."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from multirec._core.state import State
from multirec.errors import ArgumentError

from ._arguments import check_weight_dtype
from ._marked import states_of
from ._sequence_unit import Options, SequenceUnit
from ._spans import in_spans
from ._unit import add_time, cast, drop_time, time_axis

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

    def reset_parameters(self) -> None:
        """Draw all weights as nn.RNN does."""
        bound = self.hidden_dim**-0.5
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-bound, bound)

    def _weight(self) -> Tensor:
        return self.weight_ih_l0

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        past = self._past(x, state, cuts)
        if cuts:
            outs, last = in_spans(self._run_packed, x, past, self.layout, self.reverse, cuts)
        else:
            outs, last = self._run(x, past)
        return outs, State(None, add_time(last.to(self._state_dtype(x)), self.layout))

    def _past(self, x: Tensor, state: State, cuts: dict[str, Any]) -> Tensor:
        """Return h before the block, (batch…, hidden_dim)."""
        if state.outputs is not None:
            return drop_time(state.outputs, self.layout)
        return x.new_zeros(*states_of(x, self.layout, cuts), self.hidden_dim)

    def _run(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return h of a block, and the last one."""
        if not x.numel():
            # torch takes no empty block
            return x.new_zeros(*x.shape[:-1], self.hidden_dim), past
        time = time_axis(self.layout)
        x = x.flip(time) if self.reverse else x
        batch = past.shape[:-1]
        # torch has one batch axis
        flat = x.reshape(len(x), -1, x.shape[-1]) if time == 0 else x.reshape(-1, *x.shape[-2:])
        hidden = past.reshape(1, -1, self.hidden_dim).to(x.dtype)
        outs, last = torch.rnn_tanh(
            flat, hidden, [*self.parameters()], self.bias, 1, 0.0, self.training, False, time != 0
        )
        outs = outs.reshape(*x.shape[:-1], self.hidden_dim)
        return outs.flip(time) if self.reverse else outs, last.reshape(*batch, self.hidden_dim)

    def _run_packed(self, data: Tensor, batch_sizes: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        outs, last = torch.rnn_tanh(
            data, batch_sizes, past[None].to(data.dtype), [*self.parameters()], self.bias, 1, 0.0, self.training, False
        )
        return outs, last[0]

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        bias, other = (self.bias_ih_l0, self.bias_hh_l0) if self.bias else (None, None)
        h = linear(x, self.weight_ih_l0, bias)
        past = x.new_zeros(self.hidden_dim) if state.outputs is None else self._before(state.outputs, x.dtype)
        h = torch.tanh(h + linear(past, self.weight_hh_l0, other))
        return h, State(None, add_time(cast(h, self._state_dtype(x)), self.layout))

    def _own_options(self) -> dict[str, Any]:
        return {"bias": True}
