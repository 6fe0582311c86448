"""`summarize` and `replay`, for every array library."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, TypeAlias

from .._core.arrays import family_of, is_compiling
from .._core.axes import explicit, namespace
from .._core.problem import ComputeDtype, Layout
from .._core.state import State
from .._core.validate import Call, Choices, as_choices, build_call
from .._engine.call import call_of, specs_of, split_state
from .._memory.hand_over import device
from .._recurrence import run
from .._sequences.bind import settled_bound
from .._sequences.marks import Marks, marks_of
from ..errors import ArgumentError
from .block import Block
from .summary import Summary
from .summed import summed

__all__ = ["replay", "summarize"]

Array: TypeAlias = Any


def summarize(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
    resets: Array | None = None,
) -> Summary:
    """Return what a block does to the state before it, without that state.

    Blocks of a sequence are summarized in any order and place; `compose` and `Summary.after` then give the state before
    each of them, and `replay` its outputs.

    Parameters
    ----------
    x, feedforward, feedback, layout, reverse, backend, compute_dtype, resets
        As in `multirec.recurrence`: a block of the sequence, which may be empty, and what varies along time cut alike.

    Returns
    -------
    Summary
        For static coefficients the transition is computed once for all examples. Derivatives reach x and coefficients.

    Raises
    ------
    MultirecError
        As in `multirec.recurrence`.

    Example
    -------
    >>> import numpy as np
    >>> from multirec.distributed import replay, summarize
    >>> x, a = np.ones((1, 1, 6)), np.array([[0.5]])
    >>> blocks = np.split(x, [1, 4], axis=-1)
    >>> state, parts = None, []
    >>> for block in blocks:
    ...     start = (None, None) if state is None else state
    ...     parts.append(replay(block, start, feedback=a)[0])
    ...     state = summarize(block, feedback=a).after(start)
    >>> np.concatenate(parts, axis=-1)
    array([[[1.     , 1.5    , 1.75   , 1.875  , 1.9375 , 1.96875]]])
    """
    choices = as_choices(layout, reverse, backend, compute_dtype)
    arrays = x, feedforward, feedback, None, None
    marks = marks_of(resets)
    call = _call(arrays, choices, marks)
    problem = call.problem
    if problem.family == "jax":
        from .._jax.pytrees import register

        register()
    if not is_compiling():
        choices = choices._replace(compute_dtype=problem.compute_dtype)
    # blocks of other lengths are to come, and no shape of theirs may look like that of coefficients
    b, a = (explicit(part, x, choices.layout) for part in (feedforward, feedback))
    block = Block(x, b, a, resets, choices.layout, choices.reverse, problem.length)
    with device(problem) if problem.family == "cupy" else nullcontext():
        end, transition = summed(block, call, choices, values_only=_is_for_values(arrays))
        library = namespace(x)
        place = {"device": x.device} if hasattr(x, "new_zeros") else {}
        moved = library.asarray(min(problem.input_order, problem.length), **place)
        cut = None if resets is None else library.asarray(resets, **place).any(0 if layout == "TBC" else -1)
    return Summary(end, transition, moved, cut, choices.layout, choices.reverse)


def _call(arrays: tuple[Array | None, ...], choices: Choices, marks: Marks | None) -> Call:
    if marks is not None:
        return settled_bound(arrays, marks, choices).call
    # a compiler knows neither memories nor values: its operators look at those when they run
    return build_call(*specs_of(arrays), choices) if is_compiling() else call_of(arrays, choices)


def _is_for_values(arrays: tuple[Array | None, ...]) -> bool:
    """Whether neither a derivative nor a compiler is at work."""
    x: Array = arrays[0]
    family = family_of(x)
    if family == "jax":
        return False
    if family == "torch" and not is_compiling():
        from .._torch.door import NOTHING, wanted_of

        return not x.is_meta and wanted_of(arrays) == NOTHING
    return not is_compiling()


def replay(
    x: Array,
    state: State | tuple[Array | None, Array | None],
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
    out: Array | None = None,
    resets: Array | None = None,
) -> tuple[Array, State]:
    """Return a block's outputs and the state after it: `multirec.recurrence` with a state that has to be given.

    Parameters
    ----------
    state
        That before the block, such as `Summary.after` returns. (None, None) is zeros.
    x, feedforward, feedback, layout, reverse, backend, compute_dtype, out, resets
        As in `multirec.recurrence`, and as they were given to `summarize`.

    Raises
    ------
    MultirecError
        As in `multirec.recurrence`; and if `state` is None.

    Example
    -------
    >>> import numpy as np
    >>> from multirec.distributed import replay
    >>> replay(np.ones((1, 2)), (None, np.array([[8.0]])), feedback=np.array([[0.5]]))[0]
    array([[5. , 3.5]])
    """
    if state is None:
        raise ArgumentError(
            "state is None, and replay continues from the state before the block. Pass what Summary.after returned, or "
            "for the first block State(None, None), which is zeros."
        )
    choices = as_choices(layout, reverse, backend, compute_dtype)
    return run((x, feedforward, feedback, *split_state(state)), choices, out, marks_of(resets))
