"""What is static about a call of our primitives, besides shapes and dtypes."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Form"]


class Form(NamedTuple):
    """Where arrays are, which operands a primitive's flat arguments are, and which move or want a gradient."""

    device: str
    given: tuple[bool, ...]
    moved: tuple[bool, ...] = (False,) * 5

    @property
    def size(self) -> int:
        return sum(self.given)
