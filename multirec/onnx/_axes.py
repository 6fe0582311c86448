"""Axes of signals, from the caller's layout to (batch…, channels, time) and back."""

from __future__ import annotations

from ._nodes import Nodes, Value

__all__ = ["channel_axis", "from_channels_time", "time_axis", "to_channels_time"]


def time_axis(layout: str, rank: int) -> int:
    """Return which of a signal's axes is time."""
    return {"BCT": rank - 1, "BTC": rank - 2, "TBC": 0}[layout]


def channel_axis(layout: str, rank: int) -> int:
    """Return which of a signal's axes is the one of channels."""
    return rank - 2 if layout == "BCT" else rank - 1


def to_channels_time(nodes: Nodes, signal: Value, layout: str, rank: int) -> Value:
    """Return a signal as (batch…, channels, time)."""
    axes = list(range(rank))
    axes.append(axes.pop(time_axis(layout, rank)))
    return signal if layout == "BCT" else nodes("Transpose", signal, perm=axes)


def from_channels_time(nodes: Nodes, signal: Value, layout: str, rank: int) -> Value:
    """Return (batch…, channels, time) in the caller's layout."""
    axes = list(range(rank))
    axes.insert(time_axis(layout, rank), axes.pop())
    return signal if layout == "BCT" else nodes("Transpose", signal, perm=axes)
