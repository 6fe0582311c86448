"""What is static about a call of our primitives, besides shapes and dtypes."""

from __future__ import annotations

from typing import NamedTuple

from ._problem import Layout

__all__ = ["Choices", "Form"]


class Choices(NamedTuple):
    """Where and how to compute; `layout` says how signals lie in memory: their axes are canonical."""

    device: str
    layout: Layout
    reverse: bool
    backend: str


class Form(NamedTuple):
    """Which operands a primitive's flat arguments are, and which of them move or want a gradient."""

    given: tuple[bool, ...]
    moved: tuple[bool, ...] = (False,) * 5

    @property
    def size(self) -> int:
        return sum(self.given)
