"""How a mesh cuts canonical arrays: rows, which are examples and channels, depend on no others; all else stays whole.

That holds for `jax.sharding.AxisType.Explicit`, where the types of arrays say it, and for what XLA divides itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import jax

__all__ = ["Rows", "result", "whole"]

Array: TypeAlias = Any

# JAX has no types for them
_spec: Any = jax.P
_reshard: Any = jax.sharding.reshard

Spec: TypeAlias = tuple[Any, ...]


class Rows(NamedTuple):
    """How many examples and channels results have; examples are None where sequences have states of their own."""

    batch: int | None
    channels: int

    def names(self, shape: tuple[int, ...]) -> tuple[str | None, ...]:
        """Return which rows each axis of an array is of, None where it is of none, or of one that serves all."""
        full = {"batch": self.batch} | ({"channels": self.channels} if len(shape) > 2 else {})
        found = [name if size == own else None for (name, own), size in zip(full.items(), shape, strict=False)]
        return (*found, *[None] * (len(shape) - len(found)))

    def cuts(self, arrays: Iterable[tuple[tuple[int, ...], Spec]], sizes: dict[str, int]) -> dict[str, tuple[str, ...]]:
        """Return along which axes of a mesh of `sizes` rows are cut: as the first of the arrays that is, evenly."""
        found: dict[str, tuple[str, ...]] = {}
        for shape, spec in arrays:
            for name, own, size in zip(self.names(shape), spec, shape, strict=False):
                axes = (own,) if isinstance(own, str) else tuple(own or ())
                taken = {axis for cut in found.values() for axis in cut}
                is_even = size % prod(sizes[axis] for axis in axes) == 0
                if name and axes and name not in found and taken.isdisjoint(axes) and is_even:
                    found[name] = axes
        return found

    def spec(self, shape: tuple[int, ...], cuts: dict[str, tuple[str, ...]]) -> Any:
        """Return how an array lies on the mesh."""
        return _spec(*(cuts.get(name) if name else None for name in self.names(shape)))


def result(parts: Sequence[Any], rows: Rows, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return what a result of operands is like, abstractly."""
    like = parts[0]
    kinds = {"shape": shape, "dtype": dtype, "weak_type": False}
    mesh = like.sharding.mesh
    if not mesh.explicit_axes:
        return like.update(**kinds)
    cuts = rows.cuts(((part.shape, part.sharding.spec) for part in parts), dict(mesh.shape))
    return like.update(**kinds, sharding=jax.NamedSharding(mesh, rows.spec(shape, cuts)))


def whole(part: Array) -> Array:
    """Return a canonical array that explicit axes of a mesh cut along rows alone."""
    sharding = jax.typeof(part).sharding
    spec = sharding.spec
    if not sharding.mesh.explicit_axes or not any(spec[2:]):
        return part
    return _reshard(part, jax.NamedSharding(sharding.mesh, _spec(*spec[:2])))
