"""Two units side by side, one of which runs backwards in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from multirec.errors import ArgumentError, UnsupportedError

from .unit import RecurrentUnit

__all__ = ["Bidirectional"]


class Bidirectional(RecurrentUnit):
    """Run a unit forwards and another backwards, and give the outputs of both side by side, the forward ones first.

    The state is a list of two: what the forward unit holds after the block, and the backward one before it.

    Parameters
    ----------
    forwards, backwards
        Units of one layout with features last; `backwards` has ``reverse=True``.

    Raises
    ------
    ArgumentError
        The units have other directions or different layouts, or the state is no list of two.
    UnsupportedError
        `step` is called: what comes later is not known yet.

    Example
    -------
    >>> from multirec import nn as mnn
    >>> both = Bidirectional(mnn.MinGRU(3, 5), mnn.MinGRU(3, 5, reverse=True))
    >>> outs, states = both(torch.randn(20, 2, 3))
    >>> outs.shape, len(states)
    (torch.Size([20, 2, 10]), 2)
    """

    def __init__(self, forwards: RecurrentUnit, backwards: RecurrentUnit) -> None:
        super().__init__()
        units = forwards, backwards
        directions = [getattr(unit, "reverse", False) for unit in units]
        if directions != [False, True]:
            raise ArgumentError(
                f"Bidirectional takes a unit with reverse=False and one with reverse=True, got {directions[0]} and "
                f"{directions[1]}."
            )
        if forwards.layout != backwards.layout or forwards.layout == "BCT":
            raise ArgumentError(
                f"Bidirectional takes units of one layout, 'TBC' or 'BTC', got {forwards.layout!r} and "
                f"{backwards.layout!r}."
            )
        self.forwards, self.backwards = units
        self.layout = forwards.layout

    def init_state(self, x: Tensor) -> list[Any]:
        """Return the first states of both units."""
        return [self.forwards.init_state(x), self.backwards.init_state(x)]

    def compute(self, x: Tensor, state: Sequence[Any], **cuts: Any) -> tuple[Tensor, list[Any]]:
        """Run both units on the block `x` from their states."""
        if type(state) not in (list, tuple) or len(state) != 2:
            raise ArgumentError(
                f"the state of a Bidirectional is a list of two, got a {type(state).__name__}. Pass the list that the "
                "previous call returned."
            )
        ahead, after = self.forwards(x, state[0], **cuts)
        behind, before = self.backwards(x, state[1], **cuts)
        return torch.cat([ahead, behind], -1), [after, before]

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Raise: one direction of two needs samples that are yet to come."""
        raise UnsupportedError(
            "step of a Bidirectional would need the samples after this one. Call it with whole blocks, or use a unit "
            "of one direction."
        )
