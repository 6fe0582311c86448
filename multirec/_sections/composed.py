"""Filters with their memory, made of recurrences: for every array library, with every derivative and transform.

The memory of a filter with n = max(p, q) is what its next n outputs get from samples before the block. A state of past
samples cannot hold every such memory, so it is added to the feedforward sums of the first n samples; these are then the
history of the rest.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from .._core.arrays import name_of
from .._core.axes import (
    at_times,
    cast_to,
    concatenate,
    explicit,
    filled,
    flipped,
    from_channels_time,
    namespace,
    to_channels_time,
    zeros,
)
from .._core.problem import Layout, in_precision, join_shape, real_precision
from .._core.state import State
from .._core.validate import Call, Choices
from .._recurrence import run

Array: TypeAlias = Any

__all__ = ["filtered", "memory_of", "sections"]


def sections(x: Array, taps: Array, memory: Array | None, call: Call, choices: Choices) -> tuple[Array, Array, Array]:
    """Return y, the memory after the block and the ends of sections (…, C, S, 5), run one by one.

    As `multirec.backend.CascadeResult` has them, with the caller's batch axes. `call` is that of one section.
    """
    signal, layout, length = _wide(x, call), choices.layout, call.problem.length
    memories, ends = [], []
    for place in range(taps.shape[-2]):
        before = None if memory is None else memory[..., place, :]
        row = taps[..., place, :]
        signal, after = filtered(signal, row[..., :3], row[..., 3:], before, call, choices)
        memories.append(after)
        end = to_channels_time(signal, layout)
        end = end[..., :2] if choices.reverse else end[..., max(length - 2, 0) :]
        ends.append(filled(end, 2, at_end=choices.reverse))
    stack = namespace(signal).stack
    return cast_to(signal, call.problem.y_dtype), stack(memories, -2), stack(ends, -2)


def filtered(
    x: Array, feedforward: Array | None, feedback: Array | None, memory: Array | None, call: Call, choices: Choices
) -> tuple[Array, Array]:
    """Return y and the memory after the block, (…, C, n), of filters of any order."""
    problem = call.problem
    count = max(problem.order, problem.input_order)
    # blocks of other lengths are to come, and no shape of theirs may look like that of coefficients
    feedforward, feedback = (explicit(part, x, choices.layout) for part in (feedforward, feedback))
    memory = None if memory is None else cast_to(memory, problem.state_dtype)
    if memory is None or not count:
        y, state = run((x, feedforward, feedback, None, None), choices)
    else:
        y, state = _continued(x, feedforward, feedback, memory, call, choices)
    inputs, outputs = (to_channels_time(part, choices.layout) for part in state)
    after = memory_of(inputs, outputs, (feedforward, feedback), call, choices)
    if memory is not None and problem.length < count:
        after = after + filled(memory[..., problem.length :], count)
    return y, after


def _continued(
    x: Array, feedforward: Array | None, feedback: Array | None, memory: Array, call: Call, choices: Choices
) -> tuple[Array, State]:
    """Return y, and the state after it, of a block that begins with a memory."""
    problem, layout = call.problem, choices.layout
    count, length = memory.shape[-1], problem.length
    head = min(count, length)
    x_head = _wide(_cut(x, 0, head, length, choices), call)
    if feedforward is None:
        sums, inputs = x_head, _nothing(x_head, layout)
    else:
        sums, (inputs, _) = run((x_head, feedforward, None, None, None), choices)
    given = _running(memory[..., :head], choices)
    sums = sums + from_channels_time(given, layout)
    if feedback is None:
        y_head, outputs = sums, _nothing(sums, layout)
    else:
        y_head, (_, outputs) = run((sums, None, feedback, None, None), choices)
    if length > count:
        inputs = None if feedforward is None else cast_to(inputs, name_of(x.dtype))
        rest = _cut(x, count, length, length, choices)
        past = inputs, None if feedback is None else outputs
        y, (inputs, outputs) = run((rest, feedforward, feedback, *past), choices)
        both = [to_channels_time(part, layout) for part in (cast_to(y_head, name_of(y.dtype)), y)]
        y = from_channels_time(concatenate(tuple(both[::-1] if choices.reverse else both)), layout)
    else:
        y = cast_to(y_head, problem.y_dtype)
    return y, State(inputs, outputs)


def memory_of(
    inputs: Array, outputs: Array, taps: tuple[Array | None, Array | None], call: Call, choices: Choices
) -> Array:
    """Return what the last inputs and outputs (…, C, taps) alone give to the next n outputs."""
    problem, layout = call.problem, choices.layout
    count = max(problem.order, problem.input_order)
    after = zeros(outputs, (*call.batch_shape, problem.channels, count), problem.state_dtype)
    feedforward, feedback = taps
    if feedback is not None:
        # outputs are not to go on among themselves, so they are the inputs of a filter that is late by a sample
        feedback = filled(feedback, problem.order + 1, at_end=False)
    for past, own in ((inputs, feedforward), (outputs, feedback)):
        if own is None or not past.shape[-1]:
            continue
        past = _wide(past, call)
        silence = zeros(past, join_shape(call.batch_shape, past.shape[-2], count, layout))
        found, _ = run((silence, own, None, from_channels_time(past, layout), None), choices)
        after = after + _running(to_channels_time(found, layout), choices)
    return after


def _wide(signal: Array, call: Call) -> Array:
    """Return a signal in the precision that is computed in."""
    return cast_to(signal, in_precision(name_of(signal.dtype), real_precision(call.problem.state_dtype)))


def _cut(signal: Array, start: int, stop: int, length: int, choices: Choices) -> Array:
    """View the samples from `start` to `stop`, counted in running order."""
    place = slice(length - stop, length - start) if choices.reverse else slice(start, stop)
    return signal[at_times(place, choices.layout)]


def _running(samples: Array, choices: Choices) -> Array:
    """Turn samples (…, C, n) from running order to ascending time, or back."""
    return flipped(samples) if choices.reverse else samples


def _nothing(signal: Array, layout: Layout) -> Array:
    """Return no samples of a signal."""
    return from_channels_time(to_channels_time(signal, layout)[..., :0], layout)
