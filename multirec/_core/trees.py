"""Classes that hold arrays, for libraries that take trees apart: they are named here, and registered by the bridge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

__all__ = ["TREES", "Tree"]


class Tree(NamedTuple):
    """How an object is taken apart into named leaves and a structure, and put together again."""

    kind: type
    take_apart: Callable[[Any], tuple[list[tuple[str | int, Any]], Any]]
    put_together: Callable[[Any, Iterable[Any]], Any]


TREES: list[Tree] = []
"""What a bridge registers when it is loaded. Leaves may be anything while a library takes trees apart."""
