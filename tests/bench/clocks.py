"""A clock that moves by what fakes say that they take, and by nothing else."""

from __future__ import annotations


class Clock:
    """Seconds, which pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def nanoseconds(self) -> int:
        return round(1e9 * self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()
"""That of the process; in another one it moves, and nobody looks at it."""
