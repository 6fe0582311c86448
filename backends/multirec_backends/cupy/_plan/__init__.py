"""Which kernels compute a problem, and how its work is cut up: from sizes and types alone, without a GPU."""

from __future__ import annotations

from functools import lru_cache

from multirec.backend import Problem

from . import channels, lanes, products, sequential, tiles
from .parts import Has, Plan

__all__ = ["plan"]


@lru_cache(maxsize=1024)
def plan(problem: Problem, has: Has) -> Plan:
    """Return the plan of a problem; `has` says whether the device has a kernel, by its C++ name."""
    return (
        channels.plan(problem, has)
        or lanes.plan(problem, has)
        or tiles.plan(problem, has)
        or products.plan(problem, has)
        or sequential.plan(problem, has)
    )
