"""Long feedforward filters: first their sums, by vectors along time, then the recurrence over what they give.

    u[t] = Σ_j feedforward[j]·x[t-j]          y[t] = u[t] + Σ_k feedback[k]·y[t-k]

Where there is no feedback u is y. Else it is rounded to what is computed in, and no further. The gradient goes back the
same way: λ, the gradient of u, comes from the recurrence, and everything else from filters and correlations of λ.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import (
    COMPLEX_DTYPES, Allocate, FusedKernel, Gradients, InPlaceKernel, Needs, Operands, Problem,
)  # fmt: skip

from ._compile import compiled, vector_bytes
from ._fir_emit import PARTS, padding
from ._plan import ITEMS, SMALL, Plan, places
from ._spec import CONSTANTS, REGIONS, WORDS, Spec

Signal = npt.NDArray[Any]
Call = Callable[[Plan, tuple[int, int, int], tuple[Signal | None, ...], Signal | None], None]

_LONG = 64
"""Taps from which on vectors along time pay."""
_LEAST, _MOST, _DEEP = 512, 4096, 4
"""Samples in a block: at least, and at most that many or so many times the taps before it."""


def worthwhile(problem: Problem) -> bool:
    """Say whether the shape asks for vectors along time."""
    taps = problem.feedforward
    return taps is not None and taps.taps >= _LONG and taps.time == 1


def forward(problem: Problem, operands: Operands, allocate: Allocate, call: Call, recur: FusedKernel) -> Any:
    """Do what a kernel's `forward` does; `recur` computes the recurrence without its feedforward."""
    x, taps, feedback, inputs, outputs = operands
    y = allocate(problem.channels, problem.y_dtype)
    rest = _rest(problem)
    if not problem.order:
        _filter(call, problem, (problem.dtype, x), taps, inputs, (problem.y_dtype, y))
        return y if problem.state_dtype == problem.y_dtype else (y, np.empty((*y.shape[:2], 0), problem.state_dtype))
    shared = rest.dtype == problem.y_dtype and isinstance(recur, InPlaceKernel) and recur.in_place(rest)
    u = y if shared else np.empty(y.shape, rest.dtype)
    _filter(call, problem, (problem.dtype, x), taps, inputs, (rest.dtype, u))
    return recur.forward(rest, Operands(u, None, feedback, None, outputs), lambda channels, dtype: y)


def vjp(
    problem: Problem,
    operands: Operands,
    y: Signal,
    grad_y: Signal,
    grad_last: Signal | None,
    needs: Needs,
    allocate: Allocate,
    call: Call,
    recur: FusedKernel,
) -> Gradients:
    """Do what a kernel's `vjp` does."""
    x, taps, feedback, inputs, outputs = operands
    assert taps is not None
    lam = problem.y_dtype, grad_y
    back = Gradients(None, None, None, None, None)
    if problem.order:
        rest = _rest(problem)
        # its input is not read for these gradients
        signals = Operands(np.broadcast_to(np.zeros((), rest.dtype), y.shape), None, feedback, None, outputs)
        wants = Needs(needs.x or needs.feedforward or needs.inputs, False, needs.feedback, False, needs.outputs)
        fresh = lambda channels, dtype: np.empty(y.shape, dtype)  # noqa: E731
        back = recur.vjp(rest, signals, y, grad_y, grad_last, wants, fresh)
        lam = rest.dtype, back.x
    to_x = allocate(problem.x_channels, problem.dtype) if needs.x else None
    transposed = replace(problem, reverse=not problem.reverse)
    if to_x is not None:
        _filter(call, transposed, lam, taps.conj(), None, (problem.dtype, to_x))
    to_inputs = None
    if needs.inputs:
        # the samples before the block come after it for λ
        past = np.zeros((*y.shape[:2], problem.input_order), lam[1].dtype)
        to_inputs = np.zeros((problem.batch, problem.x_channels, problem.input_order), _like(problem, problem.dtype))
        near = _first(lam[1], problem)
        _filter(call, transposed, (lam[0], past), taps.conj(), near, (str(to_inputs.dtype), to_inputs))
    return Gradients(
        to_x,
        _correlate(call, problem, lam, (problem.dtype, x), inputs) if needs.feedforward else None,
        np.zeros(feedback.shape) if needs.feedback and not problem.order else back.feedback,
        to_inputs,
        np.zeros((*y.shape[:2], 0)) if needs.outputs and not problem.order else back.outputs,
    )


def _rest(problem: Problem) -> Problem:
    """Return the recurrence without its feedforward."""
    assert problem.feedforward is not None
    dtype = _like(problem, problem.dtype, problem.feedforward.dtype)
    return replace(problem, dtype=dtype, feedforward=None, x_channels=problem.channels)


def _like(problem: Problem, *dtypes: str) -> str:
    """Return the data type of what these give in the precision computed in."""
    real = np.dtype(problem.compute_dtype)
    return str(np.result_type(real, np.complex64) if any(name in COMPLEX_DTYPES for name in dtypes) else real)


def _first(signal: Signal, problem: Problem) -> Signal:
    """Return the first q samples in running order, ascending in memory, and zeros for those that there are not."""
    count, length = problem.input_order, problem.length
    first = np.zeros((*signal.shape[:2], count), signal.dtype)
    size = min(count, length)
    if problem.reverse:
        first[..., count - size :] = signal[..., length - size :]
    else:
        first[..., :size] = signal[..., :size]
    return first


def _filter(
    call: Call, problem: Problem, x: tuple[str, Signal], taps: Signal, inputs: Signal | None, y: tuple[str, Signal]
) -> None:
    """Fill y with the sums of `taps` over x; where y has fewer channels, with those of all its channels."""
    (x_dtype, signal), (y_dtype, out) = x, y
    if out.size:
        spec = _spec(problem, x_dtype, y_dtype, vjp=False)
        planned = _plan(spec, problem.reverse, *out.shape, problem.channels // out.shape[1], problem.input_order)
        call(planned, (0, 0, 0), (signal, out, inputs, *[None] * 7, taps, None, None, None), None)


def _correlate(
    call: Call, problem: Problem, lam: tuple[str, Signal], x: tuple[str, Signal], inputs: Signal | None
) -> Signal:
    """Return Σ_t λ[t+j]·conj(x[t]) for every tap j, summed over axes that the taps are broadcast along."""
    taps = problem.feedforward
    assert taps is not None
    (lam_dtype, given), (x_dtype, signal) = lam, x
    spec = _spec(problem, x_dtype, lam_dtype, vjp=True)
    planned = _plan(spec, problem.reverse, *given.shape, 1, problem.input_order)
    sums = np.empty((*given.shape[:2], planned.slices, taps.taps), np.result_type(taps.dtype, np.float64))
    if sums.size:
        call(planned, (0, 0, 0), (signal, None, inputs, None, None, given, *[None] * 6, sums, None), None)
    axes = tuple(axis for axis, own in enumerate(taps.shape[:3]) if own == 1)
    with np.errstate(all="ignore"):
        total: Signal = sums.sum(axis=axes, keepdims=True)
    # the kernel takes the conjugate of λ, not of x
    return total.conj()


def _spec(problem: Problem, x: str, y: str, *, vjp: bool) -> Spec:
    assert problem.feedforward is not None
    return Spec(
        vjp=vjp, double=problem.compute_dtype == "float64", x=x, y=y, feedforward=problem.feedforward.dtype,
        feedback=None, input_order=None, order=0, shared=False, feedforward_varies=False, feedback_varies=False,
        vector_bytes=vector_bytes(), grad_feedforward=vjp, along_time=True,
    )  # fmt: skip


@lru_cache(maxsize=512)
def _plan(spec: Spec, flip: bool, batch: int, channels: int, length: int, summed: int, input_order: int) -> Plan:
    """Lay blocks of time of every row out as items."""
    rows, count = batch * channels, input_order + 1
    longest = max(_MOST, _DEEP * input_order)
    size = -(-min(max(length * rows // ITEMS, _LEAST), longest) // _LEAST) * _LEAST
    blocks = -(-length // size)
    more, real = padding(spec.format), spec.format.real_bytes
    lengths = {"x": size + input_order, "b": size if spec.vjp else count, "y": count if spec.vjp else size}
    regions = {name: (numbers + more) * real for name, numbers in lengths.items()}
    regions |= {PARTS[name]: size for name, size in regions.items()}
    starts, scratch_bytes = places({"words": 8 * len(WORDS)} | regions | {"sum_b": 16 * (count + more)}, 0)
    constants = (
        *(rows * blocks, length, batch, channels, size, 0, blocks, summed, 0, input_order, 0, 0, int(flip)),
        *(starts.get(name, 0) for name in REGIONS),
    )
    return Plan(
        spec=spec,
        function=compiled(spec),
        constants=struct.pack(f"{len(CONSTANTS)}q", *constants),
        scratch_bytes=scratch_bytes + 64,
        items=rows * blocks,
        helpers=rows * blocks > 1 and rows * length * summed * count > SMALL,
        slices=blocks,
        padded=0,
        segmented=False,
        ends=None,
    )
