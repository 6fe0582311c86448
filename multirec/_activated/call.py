"""What a call is: its problem, the caller's own shapes, and the way of its arrays to the kernel's axes and back.

Everything here is done by operations that array libraries differentiate, so it may be traced and transformed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.activated import Activated, ActivatedOperands, Activation, Recurrence, signal_problem
from .._core.arrays import spec_of
from .._core.axes import cast_to, namespace, signal_in, signal_out
from .._core.problem import Layout, join_shape, real_precision
from .._core.validate import Call
from .._memory.hand_over import placed
from .._sequences.marks import Marks

Array: TypeAlias = Any

__all__ = ["ActivatedCall", "Given", "marks_in", "of_canonical", "operands_in", "results_out", "split"]


class Given(NamedTuple):
    """The arrays of a call, as the caller has them.

    `signals` begins with x, or with what holds several signals one after the other along its channels; `coefficients`
    are what the kind has besides.
    """

    signals: tuple[Array, ...]
    coefficients: tuple[Array, ...]
    state: Array | None

    @property
    def arrays(self) -> tuple[Array | None, ...]:
        """All of them in turn."""
        return (*self.signals, *self.coefficients, self.state)


class ActivatedCall(NamedTuple):
    """A validated call. `varies` says whether coefficients of an envelope have an axis of time."""

    problem: Activated
    batch_shape: tuple[int, ...]
    varies: bool = False

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of y with the caller's axes."""
        return join_shape(self.batch_shape, self.problem.channels, self.problem.length, self.problem.layout)

    @property
    def state_shape(self) -> tuple[int, ...]:
        """The shape of the state with the caller's axes."""
        problem, batch = self.problem, self.states_shape
        if problem.kind == "independent":
            return join_shape(batch, problem.channels, problem.order, problem.layout)
        return (*batch, problem.channels)

    @property
    def plain(self) -> Call:
        """The same of a linear recurrence whose signals lie alike."""
        return Call(signal_problem(self.problem), self.batch_shape, self.y_shape)

    @property
    def canonical(self) -> Call:
        """The same of one whose signals are (B, C, T)."""
        problem = replace(signal_problem(self.problem), layout="BCT")
        return Call(problem, (problem.batch,), (problem.batch, problem.channels, problem.length))

    @property
    def states_shape(self) -> tuple[int, ...]:
        """The batch axes of states."""
        return self.batch_shape if self.problem.count is None else (self.problem.count,)


def operands_in(call: ActivatedCall, given: Given, numbers: Array | None = None) -> ActivatedOperands:
    """Return canonical arrays, but that the signals which lie one after the other are still one."""
    problem = call.problem
    layout, batch, compute = problem.layout, problem.batch, problem.compute_dtype
    signals = [signal_in(signal, layout, batch) for signal in given.signals]
    coefficients = [_placed(part, call) for part in given.coefficients]
    if call.varies:
        full = problem.batch, problem.channels, problem.length
        signals += [
            namespace(part).broadcast_to(cast_to(_as_signal(part, call), compute), full) for part in coefficients
        ]
        coefficients = []
    parameters = tuple(cast_to(_as_parameter(part, call), compute) for part in coefficients)
    return ActivatedOperands(tuple(signals), parameters, _state_in(call, given.state), numbers)


def marks_in(call: ActivatedCall, marks: Marks | None) -> Marks | None:
    """Return marks with the kernel's axes: resets (B, T), lengths (B,)."""
    if marks is None:
        return None
    resets, lengths, cu_seqlens = marks
    batch, length = call.problem.batch, call.problem.length
    if resets is not None:
        by_time = call.problem.layout == "TBC"
        resets = resets.reshape((length, batch)).T if by_time else resets.reshape((batch, length))
    return Marks(resets, None if lengths is None else lengths.reshape((batch,)), cu_seqlens)


def results_out(call: ActivatedCall, y: Array, state: Array) -> tuple[Array, Array]:
    """Return y and the state with the caller's axes."""
    problem, batch = call.problem, call.states_shape
    y = signal_out(y, problem.layout, call.batch_shape)
    if problem.kind == "independent":
        return y, signal_out(state, problem.layout, batch)
    return y, state.reshape((*batch, problem.channels))


def of_canonical(
    kind: Recurrence, activation: Activation, scale: float, layout: Layout, reverse: bool, operands: ActivatedOperands,
    count: int | None,
) -> ActivatedCall:  # fmt: skip
    """Return the call whose canonical arrays these are."""
    signals, parameters, *_ = operands
    x, *others = (spec_of(signal, "x") for signal in signals)
    batch, width, length = x.shape
    channels = parameters[0].shape[-2] if kind == "sru" else width
    blocks = width // channels if kind == "sru" and channels else 1
    dtypes = (*[x.dtype] * blocks, *(other.dtype for other in others))
    order = parameters[0].shape[-1] if kind == "independent" else 1
    problem = Activated(
        kind, activation, order, scale, x.family, x.device, dtypes, real_precision(x.dtype), layout, reverse, batch,
        channels, length, count=count,
    )  # fmt: skip
    return ActivatedCall(problem, (batch,))


def split(problem: Activated, signals: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return signals (B, C, T) of which the first may hold several, one after the other."""
    first, *others = signals
    count = problem.channels
    blocks = len(problem.dtypes) - len(others)
    if blocks == 1:
        return signals
    return (*(first[:, block * count : (block + 1) * count] for block in range(blocks)), *others)


def _placed(part: Array, call: ActivatedCall) -> Array:
    """Return a coefficient in x's library and on its device; what is NumPy's there has no gradient."""
    if isinstance(part, np.ndarray) and call.problem.family != "numpy":
        return placed(np.array(part), signal_problem(call.problem))
    return part


def _as_parameter(part: Array, call: ActivatedCall) -> Array:
    """Return (B|1, C|1, n)."""
    if call.problem.kind == "independent":
        return part[None]
    if call.problem.kind == "sru":
        return part.T[None]
    if part.ndim <= 1:
        return part.reshape((1, -1, 1))
    full = (*call.batch_shape, part.shape[-1])
    if tuple(part.shape) != full and any(size != 1 for size in part.shape[:-1]):
        part = namespace(part).broadcast_to(part, full)
    return part.reshape((-1, part.shape[-1], 1))


def _as_signal(part: Array, call: ActivatedCall) -> Array:
    """Return what is to be broadcast to (B, C, T)."""
    problem, shape = call.problem, call.y_shape
    if part.ndim == len(shape):
        return signal_in(namespace(part).broadcast_to(part, shape), problem.layout, problem.batch)
    return _as_parameter(part, call)


def _state_in(call: ActivatedCall, state: Array | None) -> Array | None:
    if state is None:
        return None
    problem = call.problem
    state = cast_to(state, problem.compute_dtype)
    if problem.kind == "independent":
        return signal_in(state, problem.layout, problem.states)
    return state.reshape((problem.states, problem.channels, 1))
