"""The clock of calls, and the budget of a run: what is left of it, without first compilations, never going back."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, perf_counter_ns


def nanoseconds() -> int:
    """Return the time that calls are timed by; all of the harness asks here, so that tests can have another clock."""
    return perf_counter_ns()


class Budget:
    """So many seconds from now on.

    Parameters
    ----------
    seconds
        The budget.
    clock
        Gives the time; steps backwards are taken for standing still, and counted in `backwards`.

    `allowance` is how much longer to wait for an answer: a first compilation into an empty cache, or a last look.

    Example
    -------
    >>> times = iter([10.0, 12.0, 5.0, 6.0])
    >>> budget = Budget(60.0, clock=lambda: next(times))
    >>> budget.left(), budget.left(), budget.left(), budget.backwards
    (58.0, 58.0, 57.0, 1)
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.seconds, self.excluded, self.backwards = seconds, 0.0, 0
        self.allowance = 0.0
        self._clock = clock
        self._last, self._elapsed = clock(), 0.0

    def elapsed(self) -> float:
        """Return the seconds since the start, all in."""
        now = self._clock()
        if now < self._last:
            self.backwards += 1
        self._elapsed += max(now - self._last, 0.0)
        self._last = now
        return self._elapsed

    def exclude(self, seconds: float) -> None:
        """Do not count these seconds, that were spent."""
        self.excluded += seconds

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.seconds + self.excluded - self.elapsed()

    def time_limit(self, seconds: float) -> float:
        """Return how long to wait for an answer: `seconds`, and hardly beyond the budget and what it is extended by."""
        return max(min(seconds, self.left() + 0.02 * self.seconds + self.allowance), 0.05)
