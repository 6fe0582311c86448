"""Layers of one unit, with what torch's recurrent modules have: depth, both directions, and dropout in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from multirec._core.scalars import whole
from multirec.errors import ArgumentError

from .bidirectional import Bidirectional
from .chain import Chain
from .unit import RecurrentUnit

__all__ = ["Stack"]


class Stack(Chain):
    """Run `num_layers` units one after the other: a `Chain` with the keywords of ``nn.GRU``.

    Parameters
    ----------
    unit
        What makes a layer when it is called as ``unit(inputs_dim, hidden_dim, **options)``: `MinGRU`, `SRU`,
        `RecurrenceLayer`, ….
    inputs_dim, hidden_dim
        Numbers of features of x, and of the outputs of each layer in each direction.
    num_layers
        Number of layers.
    bidirectional
        Run each layer in both directions: outputs have 2 · hidden_dim features.
    dropout
        Probability of an nn.Dropout after each layer but the last.
    **options
        Of the units, as `layout`, `device` and `dtype`.

    The states are a list, one entry a module: those of the layers, each a list of two where there are both directions,
    and None for each dropout.

    Raises
    ------
    ArgumentError
        There is no layer, `dropout` is no probability, or `reverse` is among the options besides `bidirectional`.

    Example
    -------
    >>> import torch
    >>> from multirec import nn as mnn
    >>> stack = Stack(mnn.MinGRU, 3, 5, num_layers=2, bidirectional=True)
    >>> outs, states = stack(torch.randn(20, 2, 3))
    >>> outs.shape, len(states)
    (torch.Size([20, 2, 10]), 2)
    """

    def __init__(
        self,
        unit: Callable[..., RecurrentUnit],
        inputs_dim: int,
        hidden_dim: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        if not 0 <= dropout < 1:
            raise ArgumentError(f"dropout is a probability from 0 to below 1, got {dropout!r}.")
        if bidirectional and "reverse" in options:
            raise ArgumentError("bidirectional=True runs in both directions, so leave out reverse.")
        modules: list[nn.Module] = []
        for layer in range(whole("num_layers", num_layers, 1)):
            if layer and dropout:
                modules.append(nn.Dropout(dropout))
            if bidirectional:
                sizes = (2 * hidden_dim if layer else inputs_dim), hidden_dim
                modules.append(Bidirectional(unit(*sizes, **options), unit(*sizes, reverse=True, **options)))
            else:
                modules.append(unit(hidden_dim if layer else inputs_dim, hidden_dim, **options))
        super().__init__(*modules)
