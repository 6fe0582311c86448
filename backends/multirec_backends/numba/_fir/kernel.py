"""Long feedforward filters: first their sums, with vectors along time, then the recurrence over what they give.

    u[t] = Σ_j feedforward[j]·x[t-j]          y[t] = u[t] + Σ_k feedback[k]·y[t-k]

Without feedback u is y. Else u is kept in the precision computed in. The gradient goes back the same way: λ, which is
the gradient of u, comes from the recurrence, and everything else from filters and correlations of λ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from multirec.backend import COMPLEX_DTYPES, Allocate, Gradients, InPlaceKernel, Needs, Operands, Problem

from .._code.interface import places
from .._recurrence.plan import ITEMS, SMALL
from .._recurrence.spec import INTERFACE, Spec
from .._run.compile import vector_bytes
from .._run.launch import Launch
from .emit import PARTS, padding

Signal = npt.NDArray[Any]
Vjp = Callable[[Problem, Operands, Signal, Signal, Signal | None, Needs, Signal | None], Gradients]
_NO_EXTRA = (0, 0, 0)

_LONG, _LONG_OF_FEW, _FEW = 64, 34, 16
"""Taps from which on vectors along time pay: in general, and where there are fewer rows or neighbours than so many."""
_WORK = 1 << 14
"""Multiply-adds of a row below which a call of its own costs more than it saves."""
_LEAST, _MOST, _DEEP = 512, 4096, 4
"""Samples in a block: at least, and at most that many or so many times the taps."""


class _Typed(NamedTuple):
    """A signal and the name of its data type, which NumPy does not know of bfloat16."""

    dtype: str
    values: Signal


class _Plan(NamedTuple):
    """Machine code for blocks of time of every row."""

    launch: Launch
    blocks: int


def worthwhile(problem: Problem) -> bool:
    """Say whether the shape asks for vectors along time.

    Where many channels are neighbours in memory it does not: lanes serve them well, and samples would be read and
    written one by one.
    """
    taps = problem.feedforward
    if taps is None or taps.time != 1 or taps.taps < _LONG_OF_FEW or taps.taps * problem.length < _WORK:
        return False
    rows = problem.batch * problem.channels
    if problem.layout == "BCT":
        return taps.taps >= _LONG or rows < _FEW
    return (rows if problem.layout == "TBC" else problem.channels) < _FEW


def forward(
    problem: Problem, operands: Operands, allocate: Allocate, recurrence: InPlaceKernel
) -> Signal | tuple[Signal, Signal]:
    """Do what a kernel's `forward` does; `recurrence` computes what is left without the feedforward."""
    y: Signal = allocate(problem.channels, problem.y_dtype)
    x, taps, inputs = _Typed(problem.dtype, operands.x), operands.feedforward, operands.inputs
    assert taps is not None
    if not problem.order:
        _filter(problem, x, taps, inputs, _Typed(problem.y_dtype, y))
        return y if problem.state_dtype == problem.y_dtype else (y, np.empty((*y.shape[:2], 0), problem.state_dtype))
    rest = _rest(problem)
    in_place = rest.dtype == problem.y_dtype and recurrence.in_place(rest)
    u = y if in_place else np.empty(y.shape, rest.dtype)
    _filter(problem, x, taps, inputs, _Typed(rest.dtype, u))
    given = operands._replace(x=u, feedforward=None, inputs=None)
    found: Signal | tuple[Signal, Signal] = recurrence.forward(rest, given, lambda channels, dtype: y)
    return found


def vjp(
    problem: Problem,
    operands: Operands,
    y: Signal,
    grad_y: Signal,
    last: Signal | None,
    needs: Needs,
    to_x: Signal | None,
    run: Vjp,
) -> Gradients:
    """Return the gradients; that of x goes to `to_x`.

    `run` goes from sample to sample: where segments meet, λ has small jumps, which the zeros of a long filter would
    make larger.
    """
    x, feedforward, feedback, inputs, _ = operands
    assert feedforward is not None
    lam, rest = _Typed(problem.y_dtype, grad_y), _rest(problem)
    to_feedback = np.zeros(feedback.shape) if feedback is not None and needs.feedback else None
    to_outputs = np.zeros((*y.shape[:2], 0)) if needs.outputs else None
    if problem.order:
        lam = _Typed(rest.dtype, np.empty(y.shape, rest.dtype))
        # u is not read for these gradients
        given = operands._replace(x=lam.values, feedforward=None, inputs=None)
        wants = Needs(needs.x or needs.feedforward or needs.inputs, False, needs.feedback, False, needs.outputs)
        back = run(rest, given, y, grad_y, last, wants, lam.values if wants.x else None)
        to_feedback, to_outputs = back.feedback, back.outputs
    back_in_time, taps = replace(problem, reverse=not problem.reverse), feedforward.conj()
    if to_x is not None:
        _filter(back_in_time, lam, taps, None, _Typed(problem.dtype, to_x))
    return Gradients(
        to_x,
        _correlate(problem, lam, _Typed(problem.dtype, x), inputs) if needs.feedforward else None,
        to_feedback,
        _to_inputs(back_in_time, lam, taps) if needs.inputs else None,
        to_outputs,
    )


@lru_cache(maxsize=512)
def _rest(problem: Problem) -> Problem:
    """Return the recurrence without its feedforward."""
    assert problem.feedforward is not None
    dtype = _unrounded(problem, problem.dtype, problem.feedforward.dtype)
    return replace(problem, dtype=dtype, feedforward=None, x_channels=problem.channels)


def _unrounded(problem: Problem, *dtypes: str) -> str:
    """Return the data type that products of these have in the precision computed in."""
    real = np.dtype(problem.compute_dtype)
    is_complex = not set(dtypes).isdisjoint(COMPLEX_DTYPES)
    return str(np.result_type(real, np.complex64) if is_complex else real)


def _filter(problem: Problem, x: _Typed, taps: Signal, inputs: Signal | None, y: _Typed) -> None:
    """Fill y with the sums of taps·x; where y has one channel for several, with the sums of these too."""
    if y.values.size:
        planned = _plan(problem, x.dtype, y.dtype, y.values.shape, vjp=False)
        planned.launch.run(_NO_EXTRA, (x.values, y.values, inputs, *[None] * 7, taps, None, None, None))


def _to_inputs(back_in_time: Problem, lam: _Typed, taps: Signal) -> Signal:
    """Return the gradient of the samples before the block: past its end for λ, which is 0 there."""
    batch, channels, length = lam.values.shape
    depth = back_in_time.input_order
    silence, near = np.zeros((2, batch, channels, depth), lam.values.dtype)
    count = min(depth, length)
    if back_in_time.reverse:
        near[..., :count] = lam.values[..., :count]
    else:
        near[..., depth - count :] = lam.values[..., length - count :]
    dtype = _unrounded(back_in_time, back_in_time.dtype)
    found = np.empty((batch, back_in_time.x_channels, depth), dtype)
    _filter(back_in_time, lam._replace(values=silence), taps, near, _Typed(dtype, found))
    return found


def _correlate(problem: Problem, lam: _Typed, x: _Typed, inputs: Signal | None) -> Signal:
    """Return Σ_t λ[t+j]·conj(x[t]) for every tap j, summed over axes that the taps are broadcast along."""
    taps, shape = problem.feedforward, lam.values.shape
    assert taps is not None
    planned = _plan(problem, x.dtype, lam.dtype, shape, vjp=True)
    sums = np.empty((*shape[:2], planned.blocks, taps.taps), np.result_type(taps.dtype, np.float64))
    if sums.size:
        planned.launch.run(_NO_EXTRA, (x.values, None, inputs, None, None, lam.values, *[None] * 6, sums, None))
    axes = tuple(axis for axis, own in enumerate(taps.shape[:3]) if own == 1)
    with np.errstate(all="ignore"):
        total: Signal = sums.sum(axis=axes, keepdims=True)
    # the kernel takes the conjugate of λ, not of x
    return total.conj()


@lru_cache(maxsize=512)
def _plan(problem: Problem, x: str, y: str, shape: tuple[int, int, int], *, vjp: bool) -> _Plan:
    """Lay blocks of time of every row of y or λ, of `shape`, out as items; `x` and `y` are data types."""
    assert problem.feedforward is not None
    spec = Spec(
        vjp=vjp, double=problem.compute_dtype == "float64", x=x, y=y, feedforward=problem.feedforward.dtype,
        feedback=None, input_order=None, order=0, shared=False, feedforward_varies=False, feedback_varies=False,
        vector_bytes=vector_bytes(), grad_feedforward=vjp, along_time=True,
    )  # fmt: skip
    (batch, channels, length), depth = shape, problem.input_order
    rows, summed = batch * channels, problem.channels // max(channels, 1)
    longest = max(_MOST, _DEEP * depth)
    size = -(-min(max(length * rows // ITEMS, _LEAST), longest) // _LEAST) * _LEAST
    blocks = -(-length // size)
    more, real = padding(spec.format), spec.format.real_bytes
    numbers = {"x": size + depth, "b": size if vjp else depth + 1, "y": depth + 1 if vjp else size}
    lines = {name: (count + more) * real for name, count in numbers.items()}
    imaginary = {PARTS[name]: count for name, count in lines.items()}
    words, sums = 8 * len(INTERFACE.words), 16 * (depth + 1 + more)
    starts, scratch_bytes = places({"words": words} | lines | imaginary | {"sum_b": sums})
    constants = (rows * blocks, length, batch, channels, size, 0, blocks, summed, 0, depth, 0, 0, int(problem.reverse))
    launch = Launch(
        spec=spec,
        call=INTERFACE.call,
        constants=INTERFACE.fix(constants, starts),
        scratch_bytes=scratch_bytes + 64,
        items=rows * blocks,
        helpers=rows * blocks > 1 and rows * length * summed * (depth + 1) > SMALL,
    )
    return _Plan(launch, blocks)
