"""A recurrence whose coefficients come at a frame rate, as backends see it."""

from __future__ import annotations

from dataclasses import dataclass

from .problem import Problem

__all__ = ["Framed"]


@dataclass(frozen=True, slots=True)
class Framed:
    """A recurrence with a frame of coefficients every `hop` samples.

    Frame f is for the sample at f·hop, counted from the first frame. With `linear`, coefficients in between are on the
    line from one frame to the next; else a frame holds until the next. The last frame holds to the end.

    Attributes
    ----------
    problem
        The recurrence; the `time` of its coefficients is their number of frames.
    hop
        Samples from one frame to the next.
    linear
        Whether coefficients are interpolated linearly.
    """

    problem: Problem
    hop: int
    linear: bool

    @property
    def frames(self) -> int:
        """The number of frames."""
        return max(taps.time for taps in (self.problem.feedforward, self.problem.feedback) if taps is not None)
