"""Banks and cascades as pytrees: what `_core.trees` names, registered once."""

from __future__ import annotations

from typing import Any

import jax

from .._core.trees import TREES, Tree


def _register(tree: Tree) -> None:
    key: Any = {str: jax.tree_util.GetAttrKey, int: jax.tree_util.SequenceKey}

    def with_keys(value: Any) -> tuple[list[tuple[Any, Any]], Any]:
        leaves, structure = tree.take_apart(value)
        return [(key[type(name)](name), leaf) for name, leaf in leaves], structure

    jax.tree_util.register_pytree_with_keys(tree.kind, with_keys, tree.put_together)


for _tree in TREES:
    _register(_tree)
