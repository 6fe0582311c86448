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


def piece_length(problem: Problem) -> int:
    """Return how many examples to compute at a time: a divisor of the batch."""
    if problem.device_type != "cpu":
        return problem.batch
    most = max(1, _PIECE // (problem.channels * problem.length))
    return max(size for size in range(1, min(most, problem.batch) + 1) if problem.batch % size == 0)


def in_pieces(function: Callable[..., tuple[Any, Any]], arguments: Any, batch: int, size: int) -> tuple[Any, Any]:
    """Return `function` of trees of arrays (batch|1, …), `size` examples at a time.

    It returns two trees: of what belongs to examples, which is joined, and of what belongs to all, which is summed.
    """
    if size == batch:
        return function(*arguments)
    leaves, tree = jax.tree.flatten(arguments)
    own = [leaf.shape[0] == batch for leaf in leaves]
    cut = [leaf.reshape(-1, size, *leaf.shape[1:]) for leaf, mine in zip(leaves, own, strict=True) if mine]

    def piece(parts: list[jax.Array]) -> tuple[Any, Any]:
        mine = iter(parts)
        return function(*jax.tree.unflatten(tree, [next(mine) if is_mine else leaf for is_mine, leaf in zip(own, leaves)]))

    def step(sums: Any, parts: list[jax.Array]) -> tuple[Any, Any]:
        joined, summed = piece(parts)
        return jax.tree.map(jnp.add, sums, summed), joined

    like = jax.eval_shape(lambda parts: piece([part[0] for part in parts])[1], cut)
    sums, joined = lax.scan(step, jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), like), cut)
    return jax.tree.map(lambda part: part.reshape(batch, *part.shape[2:]), joined), sums
