"""Recurrences whose time is cut along an axis of a mesh, inside `jax.shard_map`: one exchange, and one for gradients.

Each device summarizes its samples, all summaries are gathered, and each device runs its samples from the state that
follows. What is differentiated is a sequence whose blocks begin where those before them end: moves of a block's last
state are carried on by the same transitions as states are. Derivatives of summaries would cost each block once more.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ._core.axes import cast_to, explicit
from ._core.state import State, state_kinds
from ._core.validate import NAMES, Call, Choices
from ._engine.call import call_of
from ._jax.door import check_64_bit, check_sizes
from ._jax.primitives import uniform, varying
from ._recurrence import run
from ._sequences.bind import settled_bound
from ._sequences.marks import Marks
from ._summaries import Summary, summarize
from .errors import ArgumentError

__all__ = ["recurrence"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Any, ...]
Passage: TypeAlias = tuple[Array, Array | None]
"""The transitions of all blocks, and where they are cut."""


class _Where(NamedTuple):
    """What is static about a call: the axis of the mesh, and how blocks are computed."""

    axis: str
    choices: Choices


def recurrence(arrays: Arrays, choices: Choices, resets: Array | None, axis: str) -> tuple[Array, State]:
    """Return y of this device's samples, and the state after those of all: (x, feedforward, feedback, inputs, outputs).

    `resets` are of this device's samples, too.
    """
    _check_axis(axis)
    x, *taps, inputs, outputs = arrays
    if x.ndim > 1:
        # a device has few samples, and no shape of theirs may look like that of coefficients
        taps = [explicit(part, x, choices.layout) if hasattr(part, "ndim") else part for part in taps]
    arrays = x, *taps, inputs, outputs
    call = call_of(arrays, choices) if resets is None else settled_bound(arrays, Marks(resets), choices).states
    check_64_bit(call)
    check_sizes(call.problem)
    _check_state(arrays, axis)
    where = _Where(axis, choices._replace(compute_dtype=call.problem.compute_dtype))
    layout, reverse, backend, compute_dtype = where.choices
    summary = summarize(
        x,
        feedforward=taps[0],
        feedback=taps[1],
        layout=layout,
        reverse=reverse,
        backend=backend,
        compute_dtype=compute_dtype,
        resets=resets,
    )
    before = _full(State(inputs, outputs), call)
    ends, passage = _gathered((summary.end, (summary.transition, summary.cut)), axis)
    start, final = _passed(where, summary, passage, ends, before)
    return _replayed(where, x, taps, resets, before, start, final, summary, passage)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _replayed(
    where: _Where,
    x: Array,
    taps: list[Array | None],
    resets: Array | None,
    before: State,
    start: State,
    final: State,
    summary: Summary,
    passage: Passage,
) -> tuple[Array, State]:
    """Return y of the samples after `start`, and `final`, as functions of x, coefficients and `before` alone."""
    return _run(where, resets, x, taps, start)[0], final


@_replayed.defjvp
def _replayed_jvp(where: _Where, primals: Arrays, tangents: Arrays) -> tuple[Any, Any]:
    x, taps, resets, _, start, final, summary, passage = primals
    (y, _), moved = jax.linearize(partial(_run, where, resets), x, taps, start)
    of_x, of_taps, _, of_before, *_ = tangents
    still = jax.tree.map(jnp.zeros_like, (x, taps, start))
    of_y, of_end = moved(of_x, of_taps, still[2])
    of_start, of_final = _passed(where, summary, passage, _gathered(of_end, where.axis), of_before)
    return (y, final), (of_y + moved(*still[:2], of_start)[0], of_final)


def _run(where: _Where, resets: Array | None, x: Array, taps: list[Array | None], start: State) -> tuple[Array, State]:
    return run((x, *taps, *start), where.choices, None, None if resets is None else Marks(resets))


def _passed(where: _Where, summary: Summary, passage: Passage, ends: State, before: State) -> tuple[State, State]:
    """Return the state before this device's samples, and that after all; `summary` is of a block, but for its arrays.

    All that is the same on all devices stays so.
    """

    def step(state: State, block: tuple[State, Passage]) -> tuple[State, State]:
        end, (transition, cut) = block
        return replace(summary, end=end, transition=transition, cut=cut).after(state), state

    parts, tree = jax.tree.flatten((before, (ends, passage)))
    carried, blocks = jax.tree.unflatten(tree, uniform(parts))
    final, states = jax.lax.scan(step, carried, blocks, reverse=where.choices.reverse)
    place = jax.lax.axis_index(where.axis)
    start = jax.tree.map(lambda part: jax.lax.dynamic_index_in_dim(part, place, keepdims=False), states)
    return start, final


def _gathered(tree: Any, axis: str) -> Any:
    """Return arrays with the devices along a new first axis, in one message."""
    flat, put_together = ravel_pytree(tree)
    # where JAX does not check what varies, it transposes what all devices have as if each had its own
    to = "invarying" if axis in varying(jax.lax.axis_index(axis)) else "varying"
    return jax.vmap(put_together)(jax.lax.all_gather(flat, axis, to=to))


def _full(state: State, call: Call) -> State:
    """Return a state that is there in whole, in the shapes and types in which it is returned."""
    kinds = state_kinds(call.problem, call.batch_shape)
    return State(
        *(
            jnp.zeros(shape, dtype) if part is None else jnp.broadcast_to(cast_to(jnp.asarray(part), dtype), shape)
            for part, (shape, dtype) in zip(state, kinds, strict=True)
        )
    )


def _check_axis(axis: Any) -> None:
    try:
        jax.lax.axis_size(axis)
    except (NameError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"axis_name is {axis!r}, which is no axis of a mesh here ({error}). Call it inside of jax.shard_map, with "
            "the name of the axis along which time is cut."
        ) from None


def _check_state(arrays: Arrays, axis: str) -> None:
    for name, part in zip(NAMES[3:], arrays[3:], strict=True):
        if part is not None and axis in varying(part):
            raise ArgumentError(
                f"{name} is cut along {axis!r}, and the state before the whole sequence is the same on all devices. "
                f"Leave {axis!r} out of its in_specs."
            )
