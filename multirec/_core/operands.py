"""The canonical arrays of one problem, and which of their gradients are wanted."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

__all__ = ["Array", "Gradients", "Needs", "Operands"]

Array: TypeAlias = Any
"""An array of the backend's own family."""


class Operands(NamedTuple):
    """The canonical arrays of one problem, in the backend's own array family."""

    x: Array
    feedforward: Array | None
    feedback: Array | None
    inputs: Array | None
    outputs: Array | None


class Needs(NamedTuple):
    """Which gradients are wanted, operand by operand."""

    x: bool
    feedforward: bool
    feedback: bool
    inputs: bool
    outputs: bool


class Gradients(NamedTuple):
    """Gradients with the canonical shapes of the operands; None where not wanted."""

    x: Array | None
    feedforward: Array | None
    feedback: Array | None
    inputs: Array | None
    outputs: Array | None
