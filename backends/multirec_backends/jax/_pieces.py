"""A CPU goes piece by piece over the examples, so that what is not a result stays in its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from multirec.backend import Array, Problem

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

    def piece(parts: list[Array]) -> tuple[Any, Any]:
        mine = iter(parts)
        whole = [
            next(mine).reshape(*leaf.shape[:axis], size, *leaf.shape[axis + 1 :]) if is_own else leaf
            for is_own, leaf in zip(own, leaves, strict=True)
        ]
        return function(*jax.tree.unflatten(tree, whole))

    def step(sums: Any, parts: list[Array]) -> tuple[Any, Any]:
        joined, summed = piece(parts)
        return jax.tree.map(jnp.add, sums, summed), jax.tree.map(jnp.squeeze, joined)

    joined_like, summed_like = jax.eval_shape(lambda: piece([part[0] for part in parts]))
    sums, joined = lax.scan(step, jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), summed_like), parts)
    return jax.tree.map(lambda part, like: _join(part, like.shape, axis), joined, joined_like), sums


# XLA copies a loop's arrays whole, before it, where they have axes of length 1: in the loop there are none


def _cut(array: Array, size: int, axis: int) -> Array:
    """Return an array as its pieces, (count // size, …) without axes of length 1."""
    shape = array.shape
    pieces = jnp.moveaxis(array.reshape(*shape[:axis], shape[axis] // size, size, *shape[axis + 1 :]), axis, 0)
    return pieces.reshape(len(pieces), *(length for length in pieces.shape[1:] if length != 1))


def _join(pieces: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Return the array of pieces of `shape`."""
    count = len(pieces)
    array = jnp.moveaxis(pieces.reshape(count, *shape), 0, axis)
    return array.reshape(*shape[:axis], count * shape[axis], *shape[axis + 1 :])
