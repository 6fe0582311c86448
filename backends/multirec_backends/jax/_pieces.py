"""A CPU goes piece by piece over the examples, so that what is not a result stays in its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from multirec.backend import Problem

__all__ = ["in_pieces", "piece_length"]

_PIECE = 1 << 21
_SMALL = 1 << 16


def piece_length(problem: Problem) -> int:
    """Return how many examples to compute at a time: a divisor of the batch."""
    example = problem.channels * problem.length
    if problem.device_type != "cpu":
        return problem.batch
    size = divisor(problem.batch, _PIECE // example)
    return size if size * example >= _SMALL else problem.batch


def divisor(count: int, most: int) -> int:
    """Return the largest divisor of `count` that is at most `most`, or 1."""
    return max(size for size in range(1, max(1, min(most, count)) + 1) if count % size == 0)


def in_pieces(
    function: Callable[..., tuple[Any, Any]], arguments: Any, count: int, size: int, axis: int = 0
) -> tuple[Any, Any]:
    """Return `function` of trees of arrays whose `axis` is `count` or 1, `size` of it at a time.

    It returns two trees: of arrays with that axis, which are joined along it, and of arrays to be summed.
    """
    if size == count:
        return function(*arguments)
    leaves, tree = jax.tree.flatten(arguments)
    own = [leaf.shape[axis] == count for leaf in leaves]
    parts = [_cut(leaf, size, axis) for leaf, is_own in zip(leaves, own, strict=True) if is_own]

    def piece(parts: list[jax.Array]) -> tuple[Any, Any]:
        mine = iter(parts)
        whole = [next(mine) if is_own else leaf for leaf, is_own in zip(leaves, own, strict=True)]
        return function(*jax.tree.unflatten(tree, whole))

    def step(sums: Any, parts: list[jax.Array]) -> tuple[Any, Any]:
        joined, summed = piece(parts)
        return jax.tree.map(jnp.add, sums, summed), joined

    like = jax.eval_shape(lambda: piece([part[0] for part in parts])[1])
    sums, joined = lax.scan(step, jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), like), parts)
    return jax.tree.map(lambda part: _join(part, axis), joined), sums


def _cut(array: jax.Array, size: int, axis: int) -> jax.Array:
    shape = array.shape
    return jnp.moveaxis(array.reshape(*shape[:axis], shape[axis] // size, size, *shape[axis + 1 :]), axis, 0)


def _join(array: jax.Array, axis: int) -> jax.Array:
    array = jnp.moveaxis(array, 0, axis)
    shape = array.shape
    return array.reshape(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
