"""Classes that hold arrays as pytrees: what `_core.trees` names, each registered once."""

from __future__ import annotations

from typing import Any

import jax

from .._core.trees import TREES, Tree

__all__ = ["register"]


def register() -> None:
    """Register what has been named since the last time."""
    while TREES:
        _register(TREES.pop())


def _register(tree: Tree) -> None:
    key: Any = {str: jax.tree_util.GetAttrKey, int: jax.tree_util.SequenceKey}

    def with_keys(value: Any) -> tuple[list[tuple[Any, Any]], Any]:
        leaves, structure = tree.take_apart(value)
        return [(key[type(name)](name), leaf) for name, leaf in leaves], structure

    jax.tree_util.register_pytree_with_keys(tree.kind, with_keys, tree.put_together)


register()
