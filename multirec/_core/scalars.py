"""Plain numbers that users pass: sizes and sample rates."""

from __future__ import annotations

import math
from operator import index
from typing import Any

from ..errors import ArgumentError

__all__ = ["check_sample_rate", "whole"]


def whole(name: str, size: Any, least: int) -> int:
    """Return a size, of whatever type of integers, as an int; raise unless it is at least `least`."""
    try:
        found = index(size)
    except TypeError:
        found = least - 1
    if isinstance(size, bool) or found < least:
        raise ArgumentError(f"{name} is a whole number of at least {least}, got {size!r}.")
    return found


def check_sample_rate(sample_rate: Any) -> float:
    """Return the sample rate as a float; raise unless it is one."""
    try:
        found = float(sample_rate)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        raise ArgumentError(f"sample_rate is above 0 Hz, got {sample_rate!r}.")
    return found
