"""The eight workloads of the project as calls that can be timed: rows by workload and layout."""

from __future__ import annotations

from collections.abc import Callable

from .banks import w1, w2, w3, w4
from .gated import w5
from .others import w6, w7, w8
from .row import LAYOUTS, Row

WORKLOADS: dict[str, tuple[tuple[str, ...], Callable[[str, str], Row]]] = {
    "W1": (LAYOUTS, w1),
    "W2": (LAYOUTS, w2),
    "W3": (LAYOUTS, w3),
    "W4": (LAYOUTS, w4),
    "W5": (LAYOUTS, w5),
    # a linear layer has its features last
    "W6": (("TBC", "BTC"), w6),
    "W7": (LAYOUTS, w7),
    "W8": (LAYOUTS, w8),
}
"""By name: the layouts of a workload, and what makes a row of (layout, backend)."""

REUSED = ("W1", "W2", "W6", "W8")
"""The workloads that are timed with and without memory that is used again."""
