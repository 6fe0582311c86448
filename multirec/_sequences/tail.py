"""The inputs that a state keeps: each from the end of its own sequence; and the way back of their gradient."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.arrays import name_of
from .._core.axes import cast_to, namespace, zeros
from .._core.problem import Problem
from .._machine.bfloat16 import from_bfloat16, to_bfloat16
from .numbers import Sequences, counted, edges

__all__ = ["Places", "add_gradient", "kept_inputs", "places_of"]

Array: TypeAlias = Any


class Places(NamedTuple):
    """Where the q inputs of each state lie, (states, q) each: in a block's row at a time, or in the state before it."""

    rows: Array
    times: Array
    in_block: Array
    before: Array
    in_past: Array


def places_of(sequences: Sequences, numbers: Array, problem: Problem) -> Places:
    """Return where kept inputs are from, without a look at values."""
    length, count = problem.length, problem.input_order
    begin, end = (part[:, None] for part in edges(sequences, problem))
    states = begin.shape[0]
    library = namespace(numbers)
    along = counted(library, count, sequences)[None]
    rows = counted(library, states, sequences)[:, None]
    if problem.reverse:
        times = begin + along
        in_block, before = times < end, times - end
    else:
        times = end - count + along
        in_block, before = times >= begin, times - begin + count
    in_past = ~in_block
    rows = rows if sequences.states is None else rows * 0
    times = library.clip(times, 0, length - 1)
    if sequences.resets is not None:
        last = library.where(end > 0, numbers[rows, library.clip(end - 1, 0, length - 1)], 0)
        in_block = in_block & (numbers[rows, times] == (0 if problem.reverse else last))
        in_past = in_past & (last == 0)
    return Places(rows, times, in_block, library.clip(before, 0, count - 1), in_past)


def kept_inputs(x: Array, inputs: Array | None, places: Places | None, problem: Problem, states: int) -> Array:
    """Return the q inputs of each state after the block, (states, channels, q)."""
    if places is None:
        return zeros(x, (states, problem.x_channels, 0))
    library, zero = namespace(x), zeros(x, ())
    found = zero
    if inputs is not None:
        alone = counted_like(places.rows, inputs.shape[0])
        found = library.where(places.in_past[..., None], _by_time(inputs)[alone, places.before], zero)
    found = library.where(places.in_block[..., None], _by_time(x)[places.rows, places.times], found)
    return _by_time(found)


def add_gradient(grad_x: Array | None, grad_inputs: Array | None, grad: Array, places: Places) -> None:
    """Add the gradient of kept inputs to those of x and of the inputs before, in place."""
    grad = _by_time(grad)
    if grad_inputs is not None:
        alone = counted_like(places.rows, grad_inputs.shape[0])
        _add(_by_time(grad_inputs), (alone + places.before * 0, places.before), grad, places.in_past)
    if grad_x is not None:
        _add(_by_time(grad_x), (places.rows + places.times * 0, places.times), grad, places.in_block)


def _add(whole: Array, at: tuple[Array, Array], part: Array, wanted: Array) -> None:
    """Add what is wanted of a part; no place is wanted twice."""
    if isinstance(whole, np.ndarray):
        place = at[0][wanted], at[1][wanted]
        if name_of(whole.dtype) == "uint16":
            whole[place] = to_bfloat16(from_bfloat16(whole[place]) + from_bfloat16(part[wanted]))
        else:
            whole[place] += from_bfloat16(part[wanted]) if name_of(part.dtype) == "uint16" else part[wanted]
        return
    library = namespace(whole)
    # which are wanted is not looked at, so zeros are added elsewhere
    part = library.where(wanted[..., None], cast_to(part, name_of(whole.dtype)), zeros(whole, ()))
    if library.__name__ == "torch":
        whole.index_put_(at, part, accumulate=True)
    else:
        library.add.at(whole, at, part)


def counted_like(rows: Array, count: int) -> Array:
    """Return 0 to `count` as a column, where `rows` are."""
    library = namespace(rows)
    if library.__name__ == "torch":
        return library.arange(count, device=rows.device)[:, None]
    return library.arange(count)[:, None]


def _by_time(array: Array) -> Array:
    """Exchange the last two of three axes."""
    return array.transpose(1, 2) if hasattr(array, "permute") else array.swapaxes(1, 2)
