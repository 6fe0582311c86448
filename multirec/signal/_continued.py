"""A filter that goes on from a memory: in one pass where it is a section, else for NumPy in two.

Two passes are the feedforward sums, to whose first n the memory belongs, and, in place, the recurrence. What the memory
is after the block is what filters without feedback say after its last samples, so that no sample that is infinite
meets a tap that does not reach it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .._core.axes import concatenate, filled, namespace, signal_out
from .._core.problem import Layout
from .._core.validate import Choices
from .._engine.call import launcher_of
from .._engine.plan import Plan
from .._engine.table import Table
from .._engine.target import OutMemory, takes_directly
from .._engine.ways import Way, ways_in
from .._recurrence import run
from .._sections import filtered, has_one_pass, run_sections
from .._sections.launch import Launcher, bound
from ..backend import Allocate, Operands
from ._arrays import Array
from ._coefficients import Transfer

__all__ = ["FEW_BYTES", "Continued", "continued", "continued_by", "through"]

FEW_BYTES = 1 << 13
"""Of coefficients that are remembered, 1024 numbers of 64 bits: as many filters of them take some ten megabytes."""


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
    """Return y and the memory after the block, (batch…, C, n); `over` lets y be written over x."""
    if isinstance(x, np.ndarray):
        return continued_by(x, filters, layout, reverse, backend)(x, memory, over=over)
    taps = _section_of(filters)
    if taps is not None:
        choices = Choices(layout, reverse, backend)
        arrays = x, taps, filled(memory, 2)[..., None, :]
        if has_one_pass(arrays, choices):
            y, after, _ = run_sections(arrays, choices, x if over else None)
            return y, after[..., 0, : filters.order]
    both = filters.feedforward, filters.feedback
    y, memory = filtered(x, *both, memory, layout=layout, reverse=reverse, backend=backend)
    return y, memory


class Continued(Protocol):
    """Filters NumPy's signals of one shape and data type, (batch…, channels, T) in a layout, from memories on."""

    def __call__(self, x: Array, memory: Array, *, over: bool = False) -> tuple[Array, Array]:
        """Return y, written over x if it may, and the memory after the block."""


class OnePass:
    """Runs recurrences of order 2 and less as sections."""

    def __init__(self, filters: Transfer, taps: Array, launcher: Launcher) -> None:
        self._taps, self._launcher, self._order = taps, launcher, filters.order
        problem = launcher.call.problem
        self._dtype, self._may_be_over = np.dtype(problem.y_dtype), not problem.shared and launcher.plan.takes_x()

    def __call__(self, x: Array, memory: Array, *, over: bool = False) -> tuple[Array, Array]:
        memory = filled(memory.astype(self._dtype, copy=False), 2)[..., None, :]
        out = x if over and self._may_be_over and x.dtype == self._dtype else None
        y, memory, _ = self._launcher((x, self._taps, memory), out)
        return y, memory[..., 0, : self._order]


class TwoPasses:
    """Runs filters of any order."""

    def __init__(self, x: Array, filters: Transfer, choices: Choices) -> None:
        taps = filters.feedforward, filters.feedback
        self._after: list[Array] = [filters.feedforward]
        arrays = x, taps[0], None, None, None
        launcher = launcher_of(arrays, choices)
        call, self._sums = launcher.call, launcher.plan
        self._sums_over = _may_be_over(self._sums)
        self._x_way, b_way, *_ = ways_in(call, self._sums, arrays)
        self._b = through(b_way, taps[0])
        self._recurrence: Plan | None = None
        if taps[1] is not None:
            sums = np.broadcast_to(np.zeros((), call.problem.y_dtype), call.y_shape)
            arrays = sums, None, taps[1], None, None
            launcher = launcher_of(arrays, choices)
            self._recurrence, self._recurrence_over = launcher.plan, _may_be_over(launcher.plan)
            self._a = through(ways_in(launcher.call, launcher.plan, arrays)[2], taps[1])
            # late by a sample, since outputs are not to go on among themselves
            self._after.append(np.concatenate([taps[1][:, :1] * 0, taps[1]], -1))
        self._layout, self._reverse, self._order = choices.layout, choices.reverse, filters.order
        self._silent = choices._replace(layout="BCT", reverse=False)
        self._batch, self._problem = launcher.call.batch_shape, launcher.call.problem

    def __call__(self, x: Array, memory: Array, *, over: bool = False) -> tuple[Array, Array]:
        problem, sums, feedback = self._problem, self._sums, self._recurrence
        x = through(self._x_way, x)
        head = min(self._order, problem.length)
        memory = memory.reshape(problem.batch, problem.channels, self._order)
        after = np.zeros(memory.shape, problem.y_dtype)
        after[..., : self._order - head] = memory[..., head:]
        with np.errstate(all="ignore"):
            after += self._said_after(x, self._after[0])
            y, _ = sums.run(
                Operands(x, self._b, None, None, None), _allocate(sums, x if over and self._sums_over else None)
            )
            if self._reverse:
                y[..., problem.length - head :] += memory[..., :head][..., ::-1]
            else:
                y[..., :head] += memory[..., :head]
            if feedback is not None:
                y, _ = feedback.run(
                    Operands(y, None, self._a, None, None), _allocate(feedback, y if self._recurrence_over else None)
                )
                after += self._said_after(y, self._after[1])
        return signal_out(y, self._layout, self._batch), after.reshape(*self._batch, *after.shape[1:])

    def _said_after(self, samples: Array, taps: Array) -> Array:
        """Return what the last samples give to the n outputs after them."""
        reach, length = taps.shape[-1] - 1, samples.shape[-1]
        last = samples[..., :reach][..., ::-1] if self._reverse else samples[..., max(length - reach, 0) :]
        if length < reach:
            last = np.concatenate([np.zeros((*last.shape[:-1], reach - length), last.dtype), last], -1)
        silence = np.zeros((*last.shape[:-1], self._order), last.dtype)
        return run((silence, taps, None, last, None), self._silent)[0]


_remembered: Table[Continued] = Table()


def continued_by(x: Array, filters: Transfer, layout: Layout, reverse: bool, backend: str) -> Continued:
    """Return what runs NumPy's filters on signals like x; remembered unless coefficients are many."""
    taps = [part for part in (filters.feedforward, filters.feedback) if part is not None]
    choices = Choices(layout, reverse, backend)
    if sum(part.nbytes for part in taps) > FEW_BYTES:
        return TwoPasses(x, filters, choices)
    numbers = [(part.shape, part.dtype, part.tobytes()) for part in taps]
    key = x.shape, x.dtype, x.flags.aligned, choices, filters.order, *numbers
    return _remembered.get(key) or _remembered.find(key, lambda: _made(x, filters, choices))


def _made(x: Array, filters: Transfer, choices: Choices) -> Continued:
    taps = _section_of(filters)
    if taps is not None:
        launcher = bound((x, taps, None), choices).launcher
        if launcher is not None:
            return OnePass(filters, taps, launcher)
    return TwoPasses(x, filters, choices)


def _section_of(filters: Transfer) -> Array | None:
    """Return recurrences of order 2 and less as a section each, (C, 1, 5)."""
    # without feedback an infinite sample is forgotten, and zeros in its place would not forget it
    if filters.feedback is None or filters.order > 2:
        return None
    parts = filled(filters.feedforward, 3), filled(filters.feedback, 2)
    rows = max(part.shape[0] for part in parts)
    wide = (namespace(part).broadcast_to(part, (rows, part.shape[-1])) for part in parts)
    return concatenate(tuple(wide))[:, None]


def through(way: Way, array: Array | None) -> Array:
    """Return an operand as the kernel takes it."""
    if array is None:
        return None
    array = array if way.give is None else way.give(array)
    return array if way.view is None else way.view(array)


def _may_be_over(plan: Plan) -> bool:
    problem = plan.problem
    return not problem.shared and problem.dtype == problem.y_dtype and plan.takes_x()


def _allocate(plan: Plan, target: Array | None) -> Allocate:
    """Return what gives a kernel the memory of a canonical array for y, if there is one that it can write to."""
    return OutMemory(plan, target) if target is not None and takes_directly(plan, target) else plan.allocate
