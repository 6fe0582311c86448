"""A block of samples, its coefficients and its resets, cut along time in running order."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from .._core.axes import at_times, to_channels_time
from .._core.problem import Layout
from .._sequences.marks import Marks

__all__ = ["Block", "varies"]

Array: TypeAlias = Any


class Block(NamedTuple):
    """What a call has along time; coefficients are (C, taps), or have an axis of time."""

    x: Array
    feedforward: Array | None
    feedback: Array | None
    resets: Array | None
    layout: Layout
    reverse: bool
    length: int

    @property
    def marks(self) -> Marks | None:
        """The resets, as `run` takes them."""
        return None if self.resets is None else Marks(self.resets)

    @property
    def orders(self) -> tuple[int, int]:
        """The numbers q and p of past inputs and past outputs."""
        q = 0 if self.feedforward is None else self.feedforward.shape[-1] - 1
        return q, 0 if self.feedback is None else self.feedback.shape[-1]

    @property
    def coefficient_axes(self) -> tuple[tuple[int, ...], int]:
        """The batch axes, each full or 1, and the channels, all or 1, of the two coefficients together."""
        ones = (1,) * (self.x.ndim - 2)
        shapes = [
            (*ones, taps.shape[0]) if taps.ndim == 2 else _in_order(taps, self.layout).shape[:-2]
            for taps in (self.feedforward, self.feedback)
            if taps is not None
        ]
        *batch, channels = (next((size for size in sizes if size != 1), 1) for sizes in zip(*shapes, strict=True))
        return tuple(batch), channels

    @property
    def is_static(self) -> bool:
        """Whether both coefficients are the same for all examples and samples."""
        return all(map(self._static, (self.feedforward, self.feedback)))

    def without_axes(self) -> Block:
        """Return static coefficients as (C, taps)."""
        parts = (
            part if part is None or part.ndim == 2 else part.reshape((-1, part.shape[-1]))
            for part in (self.feedforward, self.feedback)
        )
        feedforward, feedback = parts
        return self._replace(feedforward=feedforward, feedback=feedback)

    def cut(self, start: int, stop: int) -> Block:
        """View the samples from `start` to `stop`, counted in running order."""
        length = self.length
        if (start, stop) == (0, length):
            return self
        place = slice(length - stop, length - start) if self.reverse else slice(start, stop)
        every = slice(None)
        index = {"BCT": (..., place, every), "BTC": (..., place, every, every), "TBC": (place,)}[self.layout]
        feedforward, feedback = (
            part if part is None or not varies(part, self.layout) else part[index]
            for part in (self.feedforward, self.feedback)
        )
        resets = self.resets
        if resets is not None:
            resets = resets[place] if self.layout == "TBC" else resets[..., place]
        x = self.x[at_times(place, self.layout)]
        return self._replace(x=x, feedforward=feedforward, feedback=feedback, resets=resets, length=stop - start)

    def _static(self, taps: Array | None) -> bool:
        if taps is None or taps.ndim == 2:
            return True
        return not varies(taps, self.layout) and all(size == 1 for size in _in_order(taps, self.layout).shape[:-3])


def varies(taps: Array | None, layout: Layout) -> bool:
    """Whether coefficients have more or fewer than one sample along time."""
    return taps is not None and taps.ndim > 2 and _in_order(taps, layout).shape[-2] != 1


def _in_order(taps: Array, layout: Layout) -> Array:
    return to_channels_time(taps, layout, after=1)
