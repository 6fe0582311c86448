"""A filter that goes on from a memory: for NumPy in two passes, its feedforward sums and, in place, the recurrence.

The memory belongs to the first n sums. What it is after the block is read off the last samples, tap by tap, so that no
sample that is infinite meets a tap that does not reach it.
"""

from __future__ import annotations

import numpy as np

from .._core.axes import signal_out
from .._core.problem import Layout
from .._core.validate import Choices
from .._engine.call import launcher_of
from .._engine.plan import Plan
from .._engine.target import OutMemory, takes_directly
from .._engine.ways import Way, ways_in
from .._sections import filtered
from ..backend import Allocate, Operands
from ._arrays import Array
from ._coefficients import Transfer

__all__ = ["Continued", "continued", "through"]


def continued(
    x: Array,
    filters: Transfer,
    memory: Array,
    layout: Layout,
    reverse: bool = False,
    backend: str = "auto",
    *,
    over: bool = False,
) -> tuple[Array, Array]:
    """Return y and the memory after the block, (batch…, C, n); `over` lets y be written over NumPy's x."""
    if isinstance(x, np.ndarray):
        return Continued(x, filters, layout, reverse, backend)(x, memory, over=over)
    taps = filters.feedforward, filters.feedback
    y, memory = filtered(x, *taps, memory, layout=layout, reverse=reverse, backend=backend)
    return y, memory


class Continued:
    """Filters NumPy's signals of one shape and data type, (batch…, channels, T) in a layout, from memories on."""

    def __init__(self, x: Array, filters: Transfer, layout: Layout, reverse: bool, backend: str) -> None:
        taps = self._taps = filters.feedforward, filters.feedback
        choices = Choices(layout, reverse, backend)
        arrays = x, taps[0], None, None, None
        launcher = launcher_of(arrays, choices)
        call, self._sums = launcher.call, launcher.plan
        self._x_way, b_way, *_ = ways_in(call, self._sums, arrays)
        self._b = through(b_way, taps[0])
        self._recurrence: Plan | None = None
        if taps[1] is not None:
            sums = np.broadcast_to(np.zeros((), call.problem.y_dtype), call.y_shape)
            arrays = sums, None, taps[1], None, None
            launcher = launcher_of(arrays, choices)
            self._recurrence = launcher.plan
            self._a = through(ways_in(launcher.call, launcher.plan, arrays)[2], taps[1])
        self._layout, self._reverse, self._order = layout, reverse, filters.order
        self._batch, self._problem = launcher.call.batch_shape, launcher.call.problem

    def __call__(self, x: Array, memory: Array, *, over: bool = False) -> tuple[Array, Array]:
        """Return y, written over x if it may, and the memory after the block."""
        problem, sums, feedback = self._problem, self._sums, self._recurrence
        x = through(self._x_way, x)
        head = min(self._order, problem.length)
        memory = memory.reshape(problem.batch, problem.channels, self._order)
        after = np.zeros(memory.shape, problem.y_dtype)
        after[..., : self._order - head] = memory[..., head:]
        with np.errstate(all="ignore"):
            self._add(after, x, self._taps[0][:, 1:])
            y, _ = sums.run(Operands(x, self._b, None, None, None), _allocate(sums, x if over else None))
            if self._reverse:
                y[..., problem.length - head :] += memory[..., :head][..., ::-1]
            else:
                y[..., :head] += memory[..., :head]
            if feedback is not None:
                y, _ = feedback.run(Operands(y, None, self._a, None, None), _allocate(feedback, y))
                self._add(after, y, self._taps[1])
        return signal_out(y, self._layout, self._batch), after.reshape(*self._batch, *after.shape[1:])

    def _add(self, after: Array, samples: Array, taps: Array | None) -> None:
        """Add to the memory what the last samples give by taps (C, k), the first of which is of the newest."""
        if taps is None:
            return
        count, length = taps.shape[-1], samples.shape[-1]
        for past in range(min(count, length)):
            place = past if self._reverse else length - 1 - past
            after[..., : count - past] += samples[..., place, None] * taps[:, past:]


def through(way: Way, array: Array | None) -> Array:
    """Return an operand as the kernel takes it."""
    if array is None:
        return None
    array = array if way.give is None else way.give(array)
    return array if way.view is None else way.view(array)


def _allocate(plan: Plan, target: Array | None) -> Allocate:
    """Return what gives a kernel the memory of a canonical array for y, where it may be written over."""
    problem = plan.problem
    fits = target is not None and not problem.shared and problem.dtype == problem.y_dtype
    return OutMemory(plan, target) if fits and takes_directly(plan, target) and plan.takes_x() else plan.allocate
