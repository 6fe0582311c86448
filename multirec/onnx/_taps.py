"""Coefficients as a Scan takes them: one value a lag."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._axes import channel_axis, time_axis, to_channels_time
from ._nodes import Nodes, Value

__all__ = ["Taps", "taps_of"]


class Taps(NamedTuple):
    """Values (batch…, channels, time) where they vary along time, else (batch…, channels); static ones have no batch.

    `channels` is how many there are, as an axis of one number.
    """

    lags: list[Value]
    varies: bool
    channels: Value

    def beside_signals(self, nodes: Nodes) -> list[Value]:
        """Return values that are broadcast to signals (batch…, channels, time)."""
        return self.lags if self.varies else [nodes("Unsqueeze", lag, nodes.numbers(-1)) for lag in self.lags]


def taps_of(nodes: Nodes, taps: Value | None, layout: str, rank: int, dtype: Any) -> Taps:
    """Return the coefficients of a signal of `rank` axes, in the type that is computed in."""
    if taps is None:
        return Taps([], False, nodes.numbers(1))
    lags = [nodes.tap(nodes.cast(taps, dtype), index) for index in range(taps.shape[-1])]
    axis, varies = len(taps.shape) - 2, False
    if len(taps.shape) > rank:
        axis, varies = channel_axis(layout, rank), taps.shape[time_axis(layout, rank)] != 1
        lags = [to_channels_time(nodes, lag, layout, rank) for lag in lags]
        lags = lags if varies else [nodes("Squeeze", lag, nodes.numbers(-1)) for lag in lags]
    return Taps(lags, varies, nodes("Shape", taps, start=axis, end=axis + 1))
