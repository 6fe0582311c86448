"""The gradient of sequences by recurrences of pieces, which torch differentiates and maps further."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import torch

from .._core.validate import Choices
from .._sequences.bind import Bound
from .._sequences.marks import Marks
from .._sequences.plain import compose
from ..backend import Needs
from .door import recurrence as plain

__all__ = ["Given", "by_recurrences"]

Arrays: TypeAlias = tuple[Any, ...]


class Given(NamedTuple):
    """What a call is, besides its tensors."""

    found: Bound
    marks: Marks
    choices: Choices


def by_recurrences(given: Given, tensors: list[Any], grads: Arrays, needs: Needs) -> list[Any]:
    """Return the gradients by operations that torch knows, so that they can be differentiated or mapped."""
    found, marks, choices = given
    x, *others = tensors
    if x is None:
        launcher: Any = found.launcher
        shape, dtype, device = launcher.made_for[0]
        x = torch.zeros((), dtype=dtype, device=device).expand(shape)
    with torch.enable_grad():
        # each a node of its own: one may have been made of another
        own = [None if part is None else part.view_as(part) for part in (x, *others)]
        wanted = [part for part, need in zip(own, needs, strict=True) if need and part is not None]
        if tensors[0] is None and needs.x:
            # of a signal that was not kept, only the shape matters
            wanted[0].requires_grad_()
        y, state = compose(plain, tuple(own), found, marks, choices)
    pairs = [(result, grad) for result, grad in zip((y, *state), grads, strict=True) if grad is not None]
    outputs, weights = zip(*pairs, strict=True)
    graph = torch.is_grad_enabled()
    gradients = iter(torch.autograd.grad(outputs, wanted, weights, create_graph=graph, allow_unused=True))
    return [next(gradients) if need else None for need in needs]
