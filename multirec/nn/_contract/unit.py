"""The recurrent-unit contract: a module that takes a block and a state, and returns a block and a state."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from multirec._core.arrays import family_of
from multirec.backend import Layout
from multirec.errors import ArgumentError, UnsupportedError

from .time_mesh import TimeMesh

__all__ = ["RecurrentUnit", "add_time", "cast", "detach_state", "drop_time", "given_cuts", "one_each", "time_axis"]

_TIME_AXIS = {"BCT": -1, "BTC": -2, "TBC": 0}


def time_axis(layout: Layout) -> int:
    """Return the axis of time, of blocks in a layout."""
    return _TIME_AXIS[layout]


def add_time(sample: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return a sample (batch…, channels) as a block of one."""
    return sample.unsqueeze(_TIME_AXIS[layout])


def drop_time(block: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return a block of one sample as (batch…, channels)."""
    return block.squeeze(_TIME_AXIS[layout])


def cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor in a type; to ask takes less time than a `to` that has nothing to do."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def given_cuts(resets: Any, lengths: Any, cu_seqlens: Any) -> dict[str, Any]:
    """Return those keywords of a call that say where sequences begin and end, if they are given."""
    cuts = {"resets": resets, "lengths": lengths, "cu_seqlens": cu_seqlens}
    return {name: value for name, value in cuts.items() if value is not None}


def one_each(x: torch.Tensor, cu_seqlens: Any, layout: Layout) -> torch.Tensor:
    """Return a view of x, several sequences in one row, that has the batch axis of their states."""
    if not hasattr(cu_seqlens, "__len__"):
        # no array, which it says
        family_of(cu_seqlens, "cu_seqlens")
    count = len(cu_seqlens) - 1
    axis = -2 if layout == "TBC" else 0
    return x.narrow(axis, 0, 1).expand(*(count if size == axis % x.ndim else -1 for size in range(x.ndim)))


class RecurrentUnit(nn.Module):
    """Base class of modules called as ``outs, state = unit(x, state)``.

    A subclass gives `init_state` and `compute`, and keeps no state between calls: the caller passes the state
    that the previous call returned, so a sequence in blocks equals the whole. Blocks are sequence first,
    (T, B, features), unless the subclass says otherwise by its `layout`. `multirec.nn.Chain` knows units by this class.

    Attributes
    ----------
    layout
        ``"TBC"`` (sequence first), ``"BTC"`` or ``"BCT"``: where `step` puts the time axis of its one sample.

    Example
    -------
    >>> class GRU(RecurrentUnit):
    ...     def __init__(self, inputs_dim, hidden_dim):
    ...         super().__init__()
    ...         self.gru = nn.GRU(inputs_dim, hidden_dim)
    ...     def init_state(self, x):
    ...         return x.new_zeros(1, x.shape[1], self.gru.hidden_size)
    ...     def compute(self, x, state):
    ...         return self.gru(x, state)
    >>> unit = GRU(3, 5)
    >>> outs, state = unit(torch.zeros(7, 2, 3))
    >>> outs.shape, state.shape
    (torch.Size([7, 2, 5]), torch.Size([1, 2, 5]))
    >>> out, state = unit.step(torch.zeros(2, 3), state)
    >>> out.shape
    torch.Size([2, 5])
    """

    layout: Layout = "TBC"
    _time_mesh: TimeMesh | None = None
    """The processes that have parts of the same sequences."""

    def init_state(self, x: torch.Tensor) -> Any:
        """Return the state that stands before a first block `x`; only its shape, dtype and device matter."""
        raise NotImplementedError(f"{type(self).__name__} is a RecurrentUnit without init_state(x)")

    def compute(self, x: torch.Tensor, state: Any, **cuts: Any) -> tuple[torch.Tensor, Any]:
        """Return the outputs of the block `x` and the state after it."""
        raise NotImplementedError(f"{type(self).__name__} is a RecurrentUnit without compute(x, state)")

    def forward(
        self, x: torch.Tensor, state: Any = None, *, resets: Any = None, lengths: Any = None, cu_seqlens: Any = None
    ) -> tuple[torch.Tensor, Any]:
        """Return (outs, state); a `state` of None is the one of `init_state(x)`.

        `resets`, `lengths` and `cu_seqlens` say where sequences begin and end, as in `multirec.recurrence`. Those that
        are given are passed to `compute`, by name.
        """
        given = given_cuts(resets, lengths, cu_seqlens)
        if state is None:
            state = self.init_state(x if cu_seqlens is None else one_each(x, cu_seqlens, self.layout))
        return self.compute(x, state, **given)

    def step(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Run one sample: x and the outputs are (batch…, features), without the time axis."""
        for part in self.modules():
            if isinstance(part, RecurrentUnit):
                part._check_whole()
        outs, state = self(self._block_of_one(x), state)
        return drop_time(outs, self.layout), state

    def _check_whole(self) -> None:
        """Raise where time is cut over processes: one sample is no part of more."""
        if self._time_mesh is not None:
            raise UnsupportedError(
                f"step of a {type(self).__name__} runs one sample, and its time is cut over processes. Call "
                "multirec.distributed.shard_time(module, None) first: the state is the same on all of them, and each "
                "can go on alone."
            )

    def _block_of_one(self, x: torch.Tensor) -> torch.Tensor:
        """Return a sample as a block of one, as a call takes it."""
        return add_time(x, self.layout)


def detach_state(state: Any) -> Any:
    """Return `state` cut from the autograd graph, between the blocks of truncated backpropagation.

    It is a `multirec.State`, a tensor, None, a number, or a list, tuple or dict of such.

    Raises
    ------
    ArgumentError
        The state holds something that has no method `detach`.

    Example
    -------
    >>> weight = torch.ones(2, requires_grad=True)
    >>> [part if part is None else part.requires_grad for part in detach_state([weight * 2, None])]
    [False, None]
    """
    if state is None or isinstance(state, (bool, int, float)):
        return state
    if hasattr(state, "detach"):
        return state.detach()
    if isinstance(state, dict):
        return {key: detach_state(part) for key, part in state.items()}
    if isinstance(state, (list, tuple)):
        parts = [detach_state(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    raise ArgumentError(
        f"a state holds tensors, None, and lists, tuples and dicts of them, got {type(state).__name__}, "
        f"which has no detach()."
    )
