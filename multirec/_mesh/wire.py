"""What travels in one exchange: arrays of several types side by side in one row of bytes."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from .group import Group

__all__ = ["exchange"]

_ALIGNMENT = 16
"""Each array begins at a multiple of it, which the widest type needs."""


def exchange(group: Group, parts: list[Tensor]) -> list[Tensor]:
    """Return every rank's arrays, stacked along a first axis; of the same shapes and types on all ranks."""
    sizes = [-(-part.numel() * part.element_size() // _ALIGNMENT) * _ALIGNMENT for part in parts]
    sent = torch.zeros(sum(sizes), dtype=torch.uint8, device=parts[0].device)
    rows = torch.split(sent, sizes)
    for row, part in zip(rows, parts, strict=True):
        if part.numel():
            _viewed(row, part)[...] = part
    return [
        _viewed(row, part) if part.numel() else part.new_empty((group.size, *part.shape))
        for row, part in zip(torch.split(group.gather(sent), sizes, -1), parts, strict=True)
    ]


def _viewed(rows: Tensor, like: Tensor) -> Tensor:
    """View bytes (…, n) as (…, *shape) of another array's shape and type."""
    count = prod(like.shape)
    found = rows[..., : count * like.element_size()].view(like.dtype)
    return found.view((*rows.shape[:-1], *like.shape))
