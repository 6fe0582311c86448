"""A rank's first samples, where they are all that the state before them reaches: its gradient looks at no others."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from .._core.validate import Choices
from .._summaries import summarize
from .._summaries.block import Block
from ..backend import Gradients, Needs
from .local import Local

__all__ = ["Head", "head_of"]

Arrays: TypeAlias = tuple[Any, ...]

_LEAST = 512
_MOST = 4
"""Where it is no less than this part of all, all are looked at."""


class Head:
    """The gradient of the state before a block, from its first samples."""

    def __init__(self, block: Block, length: int, start: Arrays, choices: Choices) -> None:
        self._length, self._whole, self._choices = length, block.length, choices
        own, (q, p) = block.cut(0, length), block.orders
        self._needs = Needs(False, False, False, bool(q), bool(p))
        self._local = Local((own.x, own.feedforward, own.feedback, *start), own.resets, choices)

    def vjp(self, feedforward: Tensor | None, feedback: Tensor | None, start: Arrays, grad_y: Tensor) -> Gradients:
        """Return the gradient of the state alone, of that of all outputs."""
        layout, reverse, *_ = self._choices
        own = Block(grad_y, feedforward, feedback, None, layout, reverse, self._whole).cut(0, self._length)
        arrays = None, own.feedforward, own.feedback, *start
        return self._local.vjp(arrays, None, (own.x, None, None), self._needs)


def head_of(block: Block, transition: Tensor, start: Arrays, choices: Choices) -> Head | None:
    """Return the first samples of a block that leaves nothing of the state before it; None where that is not known."""
    # a look at what is on a device would wait for it
    if transition.device.type != "cpu" or not _is_nothing(transition):
        return None
    # past inputs are not in transitions before they are gone
    length = max(_LEAST, block.orders[0])
    while length * _MOST < block.length:
        own = block.cut(0, length)
        found = summarize(
            own.x,
            feedforward=own.feedforward,
            feedback=own.feedback,
            layout=choices.layout,
            reverse=choices.reverse,
            backend=choices.backend,
            compute_dtype=choices.compute_dtype,
        )
        if _is_nothing(found.transition):
            return Head(block, length, start, choices)
        length *= _MOST
    return None


def _is_nothing(transition: Tensor) -> bool:
    """Whether what comes through is as little as a summary takes for nothing."""
    if not transition.numel():
        return False
    return bool(transition.abs().max() <= torch.finfo(transition.dtype).eps ** 4)
