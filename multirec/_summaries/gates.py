"""What the one past output of a recurrence of order 1 gives to the last: the product of the gates."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import name_of
from .._core.axes import cast_to, namespace, to_channels_time
from .._core.problem import ComputeDtype, in_precision
from .._memory.hand_over import hand_over
from .block import Block

__all__ = ["Gates"]

Array: TypeAlias = Any


class Gates:
    """The product of gates that vary along time, block after block: what unit states come to, for values alone."""

    def __init__(self, precision: ComputeDtype) -> None:
        self._precision = precision
        self._product: Array = 1

    @np.errstate(all="ignore")
    def run(self, block: Block) -> None:
        """Run over the next block's coefficients."""
        gates = to_channels_time(block.feedback, block.layout, after=1)[..., 0]
        gates = cast_to(gates, in_precision(name_of(gates.dtype), self._precision))
        self._product = self._product * _product(gates)

    def columns(self, block: Block) -> Array:
        """Return (batch…|1…, C|1, 1, 1): what the past output gives."""
        return self._product[..., None, None]


def _product(gates: Array) -> Array:
    """Return the product along the last axis."""
    if not hasattr(gates, "new_zeros") or gates.device.type != "cpu":
        return gates.prod(-1)
    # torch's own is slow where neighbours in memory are channels
    found = np.asarray(np.multiply.reduce(hand_over(gates, "torch", "numpy"), -1))
    return namespace(gates).from_numpy(found)
