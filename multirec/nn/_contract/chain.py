"""Recurrent units and plain modules in turn, with the list of their states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from multirec.backend import Layout
from multirec.errors import ArgumentError

from .packed import packed
from .unit import RecurrentUnit, given_cuts

__all__ = ["Chain"]


class Chain(RecurrentUnit):
    """Run modules one after the other, as `nn.Sequential` does, and carry the state of each.

    A *unit* is an instance of `RecurrentUnit` (`FilterBank`, `RecurrenceLayer`, `MinGRU`, `Chain`, your
    own), called as ``x, state = module(x, state)``. Everything else is a *plain module* (nn.Linear, nn.ReLU,
    …), called as ``x = module(x)``, and its state is None. torch's nn.GRU and a compiled unit are not units:
    wrap the one in a `RecurrentUnit` (its docstring does), and compile the whole chain, not its parts.

    States go in and come out as a list, one entry a module. None, for the list or an entry, is a fresh start.
    `multirec.nn.detach_state` cuts the list for truncated backpropagation.

    `resets`, `lengths` and `cu_seqlens`, which say where sequences begin and end, go to the units; plain modules do not
    get them, and may fill what is padding. A `torch.nn.utils.rnn.PackedSequence` is taken, and given back.

    Raises
    ------
    ArgumentError
        The list of states has another length, a plain module is given a state, or it returns a tuple.

    Example
    -------
    >>> from multirec import nn as mnn
    >>> chain = Chain(mnn.RecurrenceLayer(3, 8), nn.ReLU(), mnn.RecurrenceLayer(8, 5))
    >>> outs, states = chain(torch.randn(10, 2, 3))
    >>> outs.shape, [type(state).__name__ for state in states]
    (torch.Size([10, 2, 5]), ['State', 'NoneType', 'State'])
    >>> outs, states = chain(torch.randn(10, 2, 3), mnn.detach_state(states))
    >>> out, states = chain.step(torch.randn(2, 3), mnn.detach_state(states))
    >>> out.shape
    torch.Size([2, 5])
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        for index, module in enumerate(modules):
            if not isinstance(module, nn.Module):
                raise ArgumentError(
                    f"Chain takes torch modules, got {type(module).__name__} as number {index}. Unpack a list with *."
                )
            self.add_module(str(index), module)
        layouts = self._layouts()
        if len(layouts) == 1:
            (self.layout,) = layouts

    def init_state(self, x: torch.Tensor) -> list[Any]:
        """Return a None for each module: each unit makes its own state of the block that reaches it."""
        return [None] * len(self)

    def forward(
        self, x: Any, state: Any = None, *, resets: Any = None, lengths: Any = None, cu_seqlens: Any = None
    ) -> tuple[Any, list[Any]]:
        """Return (outs, states) of a block, or of a PackedSequence; see the class."""
        if isinstance(x, PackedSequence):
            return packed(self, x, state, resets=resets, lengths=lengths, cu_seqlens=cu_seqlens)
        cuts = given_cuts(resets, lengths, cu_seqlens)
        return self.compute(x, self.init_state(x) if state is None else state, **cuts)

    def compute(self, x: torch.Tensor, state: Sequence[Any], **cuts: Any) -> tuple[torch.Tensor, list[Any]]:
        """Run the modules on the block `x` from their states, and return the states after it."""
        if type(state) not in (list, tuple) or len(state) != len(self):
            length = f" of {len(state)}" if isinstance(state, (list, tuple)) else ""
            raise ArgumentError(
                f"Chain of {len(self)} modules takes a list of {len(self)} states (None for plain modules), "
                f"got a {type(state).__name__}{length}. Pass the list that the previous call returned."
            )
        after: list[Any] = []
        for index, (module, before) in enumerate(zip(self, state, strict=True)):
            if isinstance(module, RecurrentUnit):
                x, before = module(x, before, **cuts)
            else:
                x = self._plain(index, module, x, before)
            after.append(before)
        return x, after

    def step(self, x: torch.Tensor, state: Sequence[Any] | None = None) -> tuple[torch.Tensor, list[Any]]:
        """Run one sample (batch…, features); plain modules see a block of one in the layout of the units."""
        layouts = self._layouts()
        if len(layouts) > 1:
            raise ArgumentError(
                f"step of a chain puts one axis of time into the sample, but its units have the layouts "
                f"{' and '.join(map(repr, sorted(layouts)))}. Call the chain with blocks of one sample."
            )
        outs, after = super().step(x, state)
        return outs, list(after)

    def _block_of_one(self, x: torch.Tensor) -> torch.Tensor:
        first = next((module for module in self if isinstance(module, RecurrentUnit)), None)
        return super()._block_of_one(x) if first is None else first._block_of_one(x)

    def _layouts(self) -> set[Layout]:
        units = (module for module in self if isinstance(module, RecurrentUnit))
        # an inner chain of plain modules has none
        return set().union(*(unit._layouts() if isinstance(unit, Chain) else {unit.layout} for unit in units))

    @staticmethod
    def _plain(index: int, module: nn.Module, x: torch.Tensor, state: Any) -> torch.Tensor:
        name = f"module {index} of the chain, {type(module).__name__},"
        if state is not None:
            raise ArgumentError(f"{name} is no RecurrentUnit: its state is None, got {type(state).__name__}.")
        y: torch.Tensor = module(x)
        if isinstance(y, tuple):
            raise ArgumentError(
                f"{name} returned a tuple, but is not a RecurrentUnit, so the chain cannot know its state. "
                f"Wrap it in a subclass of multirec.nn.RecurrentUnit."
            )
        return y

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[nn.Module]:
        # children() would leave out the second use of a shared module
        return (module for module in self._modules.values() if module is not None)

    def __getitem__(self, index: int) -> nn.Module:
        return list(self)[index]
