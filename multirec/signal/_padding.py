"""What a signal is continued with at both ends, before it is filtered forwards and backwards."""

from __future__ import annotations

import operator
from typing import Literal, TypeAlias

from .._core.axes import flipped, namespace
from ..errors import ArgumentError
from ._arrays import Array

__all__ = ["Padding", "edge_of", "extensions"]

Padding: TypeAlias = Literal["odd", "even", "constant"] | None
_KINDS = ("odd", "even", "constant", None)


def edge_of(padtype: Padding, padlen: int | None, length: int, ordinary: int) -> int:
    """Return how many samples to add at each end of a signal; raise unless it is longer than that."""
    if padtype not in _KINDS:
        raise ArgumentError(f"unknown padtype {padtype!r}. It is 'odd', 'even', 'constant' or None.")
    edge = max(0 if padtype is None else ordinary if padlen is None else operator.index(padlen), 0)
    if length <= edge:
        what = f"padlen, {edge}" if padlen is not None else f"{edge} samples, which are added at each end"
        raise ArgumentError(
            f"x has {length} samples on the filtered axis and must have more than {what}. Pass a smaller padlen."
        )
    return edge


def extensions(x: Array, edge: int, padtype: Padding) -> tuple[Array, Array]:
    """Return what comes before and after x (…, T): its reflection, turned around the end if odd, or its end."""
    first, last = x[..., :1], x[..., -1:]
    if padtype == "constant":
        shape = (*x.shape[:-1], edge)
        return namespace(x).broadcast_to(first, shape), namespace(x).broadcast_to(last, shape)
    before, after = flipped(x[..., 1 : edge + 1]), flipped(x[..., -edge - 1 : -1])
    return (2 * first - before, 2 * last - after) if padtype == "odd" else (before, after)
