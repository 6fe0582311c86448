"""The axis that `jax.vmap` maps: folded into the batch axis of a primitive's arguments, unfolded from its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp

__all__ = ["Fold"]

Array: TypeAlias = Any


class Fold:
    """Folds a mapped axis into the batch axis; coefficients that no example changes stay single."""

    def __init__(self, parts: Sequence[Any], axes: Sequence[Any]) -> None:
        pairs = [(part.shape[axis], part) for part, axis in zip(parts, axes, strict=True) if axis is not None]
        self.size = pairs[0][0]
        self.mapped = [axis is not None for axis in axes]
        self.parts = [
            part if axis is None else jnp.moveaxis(part, axis, 0) for part, axis in zip(parts, axes, strict=True)
        ]
        self.batch = self.parts[0].shape[1 if self.mapped[0] else 0]

    def fold(self, index: int, single: bool = False) -> Array:
        """Return argument `index` with the axis folded, or as it is if it may stay `single`."""
        part, mapped = self.parts[index], self.mapped[index]
        if single:
            return part
        part = part if mapped else part[None]
        return jnp.broadcast_to(part, (self.size, self.batch, *part.shape[2:])).reshape(-1, *part.shape[2:])

    def unfold(self, result: Array) -> Array:
        return result.reshape(self.size, -1, *result.shape[1:])

    def is_single(self, index: int, is_taps: bool) -> bool:
        """Whether an argument is coefficients of one batch element that no example changes."""
        return is_taps and not self.mapped[index] and self.parts[index].shape[0] == 1
