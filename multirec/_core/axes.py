"""From the user's axes to the kernels' and back, and the cutting of states: views wherever a view will do.

Works on any array library that has `reshape`, `swapaxes`, slicing and `transpose` or `permute`.
"""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np

from .._machine.bfloat16 import from_bfloat16
from ..errors import ShapeError
from .arrays import family_of, name_of
from .operands import Operands
from .problem import Layout, Problem, Taps, join_shape, looks_like_signal, split_shape
from .validate import Call

Array: TypeAlias = Any


def namespace(array: Array) -> Any:
    """Return the module of functions that `array` belongs to."""
    module = type(array).__module__.partition(".")[0]
    if module in ("torch", "cupy"):
        return sys.modules[module]
    if module in ("jax", "jaxlib"):
        return sys.modules["jax.numpy"]
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else sys.modules["numpy"]


def zeros(like: Array, shape: tuple[int, ...], dtype: str | None = None) -> Array:
    """Return zeros on `like`'s device, of its dtype unless another is named."""
    library = namespace(like)
    if hasattr(like, "new_zeros"):
        return like.new_zeros(shape, dtype=getattr(library, dtype) if dtype else like.dtype)
    return library.zeros(shape, dtype=dtype or like.dtype)


def concatenate(parts: tuple[Array, ...]) -> Array:
    """Join arrays along their last axis."""
    library = namespace(parts[0])
    join = library.cat if library.__name__ == "torch" else library.concatenate
    return join(parts, -1)


def filled(array: Array, count: int, *, at_end: bool = True) -> Array:
    """Return `count` numbers along the last axis: those that there are, and zeros at the end or at the start."""
    missing = count - array.shape[-1]
    if not missing:
        return array
    gap = zeros(array, (*array.shape[:-1], missing))
    return concatenate((array, gap) if at_end else (gap, array))


def flipped(array: Array) -> Array:
    """Return an array with its last axis turned around."""
    # torch has no negative strides
    return array.flip(-1) if hasattr(array, "flip") else array[..., ::-1]


def cast_to(array: Array, dtype: str) -> Array:
    """Return `array` in `dtype`, itself where it has that dtype already; NumPy's uint16 is the bits of bfloat16."""
    own = name_of(array.dtype)
    if own == dtype:
        return array
    if own == "uint16":
        return cast_to(from_bfloat16(array), dtype)
    if hasattr(array, "astype"):
        # a value that has no such number becomes infinite or 0, whatever the caller's np.errstate
        with np.errstate(all="ignore"):
            return array.astype(dtype)
    return array.to(getattr(namespace(array), dtype))


def contiguous(array: Array) -> Array:
    """Return an owned copy in C order."""
    # JAX's arrays have a `clone`, too
    if hasattr(array, "is_contiguous"):
        return array.clone(memory_format=namespace(array).contiguous_format)
    return array.copy()


def _swapped(array: Array, one: int, other: int) -> Array:
    # torch's `swapaxes` is not known to all of its transforms
    return array.transpose(one, other) if hasattr(array, "permute") else array.swapaxes(one, other)


def to_channels_time(array: Array, layout: Layout, after: int = 0) -> Array:
    """View a signal as (batch…, channels, time), whatever number of axes come `after`."""
    if layout == "BCT":
        return array
    if layout == "BTC":
        return _swapped(array, -1 - after, -2 - after)
    return _moved(array, 0, array.ndim - 1 - after)


def from_channels_time(array: Array, layout: Layout, after: int = 0) -> Array:
    """View (batch…, channels, time) in `layout`; the inverse of `to_channels_time`."""
    if layout == "BCT":
        return array
    if layout == "BTC":
        return _swapped(array, -1 - after, -2 - after)
    return _moved(array, array.ndim - 1 - after, 0)


def _moved(array: Array, start: int, end: int) -> Array:
    """View an array with one axis moved, the others in their order."""
    axes = list(range(array.ndim))
    axes.insert(end, axes.pop(start))
    return array.permute(axes) if hasattr(array, "permute") else array.transpose(axes)


def signal_in(array: Array, layout: Layout, batch: int) -> Array:
    """Return a signal or state as (B, channels, time)."""
    if array.ndim != 3:
        # batch axes first: XLA copies twice where they are between two moves of the others
        _, channels, time = split_shape(array.shape, layout)
        array = array.reshape(join_shape((batch,), channels, time, layout))
    return to_channels_time(array, layout)


def state_in(array: Array, call: Call) -> Array:
    """Return a part of a state as (B, channels, count); one entry along a batch axis serves every example."""
    layout = call.problem.layout
    batch, channels, count = split_shape(array.shape, layout)
    if batch != call.batch_shape:
        array = namespace(array).broadcast_to(array, join_shape(call.batch_shape, channels, count, layout))
    return signal_in(array, layout, call.problem.batch)


def state_gradient_out(gradient: Array, call: Call, shape: tuple[int, ...]) -> Array:
    """Return the canonical gradient of a part of a state with the shape that the caller passed."""
    layout = call.problem.layout
    gradient = signal_out(gradient, layout, call.batch_shape)
    first = 1 if layout == "TBC" else 0
    for axis, (own, full) in enumerate(zip(split_shape(shape, layout)[0], call.batch_shape, strict=True), first):
        if own != full:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


def signal_out(array: Array, layout: Layout, batch_shape: tuple[int, ...]) -> Array:
    """Return a canonical signal (B, channels, time) with the caller's batch axes, in `layout`."""
    if len(batch_shape) == 1:
        return from_channels_time(array, layout)
    _, channels, time = array.shape
    return from_channels_time(array, layout).reshape(join_shape(batch_shape, channels, time, layout))


_TIME_AXIS = {"BCT": (..., None, slice(None)), "BTC": (..., None, slice(None), slice(None)), "TBC": (None,)}
_AS_BLOCK = {"BCT": (..., None), "BTC": (..., None, slice(None)), "TBC": (None,)}
_SAMPLE = {"BCT": (..., 0), "BTC": (..., 0, slice(None)), "TBC": (0,)}


def with_time(sample: Array, layout: Layout, name: str = "x") -> Array:
    """View one sample (batch…, channels) as a signal in `layout`."""
    family_of(sample, name)
    if sample.ndim < 1:
        raise ShapeError(f"step takes {name} of shape (batch…, channels), got a scalar.")
    return sample[_AS_BLOCK[layout]]


def without_time(y: Array, layout: Layout) -> Array:
    """View a signal of one sample in `layout` as (batch…, channels)."""
    return y[_SAMPLE[layout]]


def of_step(error: ShapeError, x: Array, out: Array | None) -> ShapeError:
    """Return an error about blocks of one sample in the shapes that `step` was given."""
    also = "" if out is None else f" and out of shape {tuple(out.shape)}"
    return ShapeError(f"step takes x of shape {tuple(x.shape)}{also} as a block of one sample. {error}")


def unambiguous(taps: Array | None, x: Array, layout: Layout) -> Array | None:
    """Return static or per-example coefficients with a time axis of length 1 where their shape is a signal's."""
    if taps is None or taps.ndim != x.ndim or not looks_like_signal(tuple(taps.shape), tuple(x.shape), layout):
        return taps
    return taps[_TIME_AXIS[layout]]


def explicit(taps: Array | None, x: Array, layout: Layout) -> Array | None:
    """Return static or per-example coefficients of x's rank with a time axis of length 1, whatever the length of x."""
    return taps if taps is None or taps.ndim != x.ndim else taps[_TIME_AXIS[layout]]


def taps_in(array: Array, taps: Taps, call: Call, rank: int) -> Array:
    """Return coefficients as (B|1, C|1, T|1, taps); only a mixture of full and single batch axes is expanded."""
    if array.ndim == 2:
        channels, count = array.shape
        return array.reshape((1, channels, 1, count))
    layout: Layout = call.problem.layout
    if array.ndim == rank:
        # constant over time: batch axes, channels and taps
        array, layout = array[..., None, :], "BCT"
    batch, channels, time = split_shape(array.shape[:-1], layout)
    if len(batch) != 1:
        count = array.shape[-1]
        if taps.batch != 1 and batch != call.batch_shape:
            full = join_shape(call.batch_shape, channels, time, layout)
            array = namespace(array).broadcast_to(array, (*full, count))
        array = array.reshape((*join_shape((taps.batch,), channels, time, layout), count))
    return to_channels_time(array, layout, after=1)


def taps_gradient_out(gradient: Array, call: Call, shape: tuple[int, ...], rank: int) -> Array:
    """Return a canonical coefficient gradient with the shape that the caller passed."""
    if len(shape) == 2:
        return gradient.reshape(shape)
    batch_axes = shape[:-2] if len(shape) == rank else split_shape(shape[:-1], call.problem.layout)[0]
    full = batch_axes if gradient.shape[0] == 1 else call.batch_shape
    gradient = gradient.reshape((*full, *gradient.shape[1:]))
    for axis, own in enumerate(batch_axes):
        if own != full[axis]:
            gradient = gradient.sum(axis=axis, keepdims=True)
    if len(shape) == rank:
        return gradient.reshape(shape)
    return from_channels_time(gradient, call.problem.layout, after=1)


def operands_in(
    call: Call, x: Array, feedforward: Array | None, feedback: Array | None, inputs: Array | None, outputs: Array | None
) -> Operands:
    """Return the caller's arrays in canonical form."""
    problem, rank = call.problem, x.ndim
    layout, batch = problem.layout, problem.batch
    return Operands(
        signal_in(x, layout, batch),
        None if problem.feedforward is None else taps_in(feedforward, problem.feedforward, call, rank),
        None if problem.feedback is None else taps_in(feedback, problem.feedback, call, rank),
        None if inputs is None else state_in(inputs, call),
        None if outputs is None else state_in(outputs, call),
    )


def in_computed_types(problem: Problem, operands: Operands) -> Operands:
    """Return operands of any axes with coefficients and past outputs in the types that they are computed in."""
    b, a = (
        None if taps is None or part is None else cast_to(part, taps.dtype)
        for taps, part in ((problem.feedforward, operands.feedforward), (problem.feedback, operands.feedback))
    )
    outputs = None if operands.outputs is None else cast_to(operands.outputs, problem.state_dtype)
    return operands._replace(feedforward=b, feedback=a, outputs=outputs)


def tail(signal: Array, past: Array | None, count: int, layout: Layout, reverse: bool) -> Array:
    """Return an owned copy, contiguous in `layout`, of the last `count` samples of past and block in running order."""
    length = signal.shape[-1]
    if count <= length:
        part = signal[..., :count] if reverse else signal[..., length - count :]
    else:
        past = zeros(signal, (*signal.shape[:-1], count)) if past is None else past
        part = concatenate((signal, past[..., : count - length]) if reverse else (past[..., length:], signal))
    return to_channels_time(contiguous(from_channels_time(part, layout)), layout)


def split_tail_gradient(gradient: Array | None, length: int, reverse: bool) -> tuple[Array | None, Array | None]:
    """Split the gradient of a `tail` into the parts of the past (or None) and of the block."""
    if gradient is None or gradient.shape[-1] <= length:
        return None, gradient
    count = gradient.shape[-1]
    if reverse:
        return gradient[..., length:], gradient[..., :length]
    return gradient[..., : count - length], gradient[..., count - length :]


def tails(problem: Problem, operands: Operands, last: Array) -> tuple[Array, Array]:
    """Return the canonical state after the block: the last q inputs and the last p outputs.

    `last` holds as many of the block's last outputs as there are, or more.
    """
    return (
        tail(operands.x, operands.inputs, problem.input_order, problem.layout, problem.reverse),
        tail(last, operands.outputs, problem.order, problem.layout, problem.reverse),
    )


def last_of(count: int, length: int, layout: Layout, reverse: bool) -> tuple[Any, ...] | None:
    """Return the index of the last `count` samples in running order of a signal in `layout`; None if it has fewer."""
    if count > length:
        return None
    return at_times(slice(0, count) if reverse else slice(length - count, length), layout)


def at_times(place: slice, layout: Layout) -> tuple[Any, ...]:
    """Return the index of a stretch of time of a signal in `layout`."""
    return {"BCT": (..., place), "BTC": (..., place, slice(None)), "TBC": (place,)}[layout]


def ends(signal: Array, count: int, reverse: bool) -> Array:
    """View the last `count` samples of a signal in running order, or all of fewer."""
    return signal[..., :count] if reverse else signal[..., max(signal.shape[-1] - count, 0) :]
