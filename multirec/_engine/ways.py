"""How the arrays of a signature reach the kernel and how results come back: chosen once, the shortest that will do.

Host arrays of an ordinary data type go straight to NumPy and back; `Plan` knows the way of everything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from operator import itemgetter, methodcaller
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from .._core.arrays import name_of
from .._core.axes import cast_to, signal_in, signal_out, state_gradient_out, state_in, taps_gradient_out, taps_in
from .._core.problem import Taps
from .._core.validate import Call
from .._memory.hand_over import host_view, misfit, settled
from .plan import Plan

__all__ = ["Way", "giver", "gradient_out", "gradients_out", "signal_way", "taker", "viewer", "ways_in"]

Array: TypeAlias = Any
Step: TypeAlias = Callable[[Array], Array] | None


class Way(NamedTuple):
    """How an operand reaches the kernel: into its library, then to its axes; None is nothing to do."""

    give: Step = None
    view: Step = None


def ways_in(call: Call, plan: Plan, arrays: tuple[Array | None, ...]) -> tuple[Way, ...]:
    """Return the ways of x, feedforward, feedback, and the state's inputs and outputs."""
    problem = call.problem
    _, feedforward, feedback, *states = arrays
    of_taps = problem.feedforward, problem.feedback
    gives: tuple[Callable[[Array], Array], ...]
    gives = plan.give, *(partial(plan.give_taps, taps=taps) for taps in of_taps), plan.give, plan.give_outputs
    b_dtype, a_dtype = (None if taps is None else taps.dtype for taps in of_taps)
    dtypes = problem.dtype, b_dtype, a_dtype, problem.dtype, problem.state_dtype
    views = (
        _signal_view(call),
        *(_taps_view(call, *both) for both in zip(of_taps, (feedforward, feedback), strict=True)),
        *(_state_view(call, part) for part in states),
    )
    return tuple(
        Way() if part is None else Way(giver(plan, part, dtype, give), view)
        for part, dtype, give, view in zip(arrays, dtypes, gives, views, strict=True)
    )


def signal_way(call: Call, plan: Plan) -> Way:
    """Return the way of y and of its gradient."""
    problem, give = call.problem, cast(Callable[[Array], Array], plan.give)
    if problem.family == "torch" and (plan.info.family == "cuda" or _is_hosted(plan, problem.y_dtype)):
        give = settled if plan.info.family == "cuda" else host_view
    return Way(give, _signal_view(call))


def taker(plan: Plan, dtype: str) -> Step:
    """Return the way of a result of a data type to the caller's library."""
    if plan.info.family == "cuda" and plan.library == plan.problem.family:
        # new memory of the caller's library
        return None
    if not _is_hosted(plan, dtype):
        return plan.take
    if plan.problem.family == "numpy":
        return None
    to_tensor = sys.modules["torch"].from_numpy

    def take(array: Array) -> Array:
        try:
            # torch warns of what may not be written to
            return to_tensor(array) if array.flags.writeable else plan.take(array)
        except ValueError:
            # it has no negative strides, not even of an axis of length 1
            return plan.take(array)

    return take


def viewer(call: Call) -> Step:
    """Return the way of a canonical signal to the caller's axes."""
    layout, batch = call.problem.layout, call.batch_shape
    return None if _is_canonical(call) else partial(signal_out, layout=layout, batch_shape=batch)


def gradients_out(call: Call, plan: Plan, arrays: tuple[Array | None, ...]) -> tuple[Step, ...]:
    """Return the ways of gradients, which get the shapes and data types of these arrays."""
    rank = len(call.y_shape)
    shapes: list[tuple[int, ...]] = [() if part is None else tuple(part.shape) for part in arrays]
    back: tuple[Step, ...] = (
        viewer(call),
        *(_taps_back(call, shape, rank) for shape in shapes[1:3]),
        *(_state_back(call, shape) for shape in shapes[3:]),
    )
    return tuple(
        None if part is None else gradient_out(plan, name_of(part.dtype), own)
        for part, own in zip(arrays, back, strict=True)
    )


def _taps_back(call: Call, shape: tuple[int, ...], rank: int) -> Step:
    if len(shape) == 2:
        return methodcaller("reshape", shape)
    return partial(taps_gradient_out, call=call, shape=shape, rank=rank)


def _state_back(call: Call, shape: tuple[int, ...]) -> Step:
    if _is_canonical(call) and shape[:1] == call.batch_shape:
        return None
    return partial(state_gradient_out, call=call, shape=shape)


def gradient_out(plan: Plan, dtype: str, back: Step) -> Step:
    if not _is_hosted(plan, dtype):
        return lambda gradient: cast_to(plan.take(gradient if back is None else back(gradient)), dtype)
    take, own = taker(plan, dtype), np.dtype(dtype)

    def out(gradient: Array) -> Array:
        # in NumPy, where a cast costs less than torch's; the launcher has silenced it
        gradient = gradient if back is None else back(gradient)
        gradient = gradient if gradient.dtype is own else gradient.astype(own, copy=False)
        return gradient if take is None else take(gradient)

    return out


def _is_hosted(plan: Plan, dtype: str | None) -> bool:
    """Whether NumPy's arrays go to the kernel, and have the data type that the caller's have."""
    return plan.library == "numpy" and plan.problem.family in ("numpy", "torch") and dtype != "bfloat16"


def giver(plan: Plan, array: Array, dtype: str | None, give: Callable[[Array], Array]) -> Step:
    if plan.info.family == "cuda" and plan.problem.family == "torch" and name_of(array.dtype) == dtype:
        return give if isinstance(array, np.ndarray) else settled
    if not _is_hosted(plan, dtype) or name_of(array.dtype) != dtype:
        return give
    if isinstance(array, np.ndarray):
        return give if misfit(array, "numpy") else None
    return host_view


def _is_canonical(call: Call) -> bool:
    """Whether the caller's signals have the axes of the kernel's."""
    return call.problem.layout == "BCT" and len(call.batch_shape) == 1


def _signal_view(call: Call) -> Step:
    if _is_canonical(call):
        return None
    return partial(signal_in, layout=call.problem.layout, batch=call.problem.batch)


def _state_view(call: Call, part: Array | None) -> Step:
    if part is None or (_is_canonical(call) and part.shape[0] == call.problem.batch):
        return None
    return partial(state_in, call=call)


def _taps_view(call: Call, taps: Taps | None, array: Array | None) -> Step:
    if taps is None or array is None:
        return None
    if array.ndim == 2:
        return itemgetter((None, slice(None), None))
    return partial(taps_in, taps=taps, call=call, rank=len(call.y_shape))
