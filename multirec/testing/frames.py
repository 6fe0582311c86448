"""Conformance of kernels that take coefficients at a frame rate, against the oracle with expanded coefficients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from .._core.framed import Framed
from .._core.problem import Problem, Taps
from .._registry.registry import registry
from ..backend import FramesKernel, Layout, Needs, Operands
from ..reference import kernel as reference
from .asserts import mismatch, poisoned
from .cascades import Given
from .problems import Wide, round_to
from .subject import Subject, Tally

__all__ = ["frames", "has_frames"]

_SIZES = (0, 8, 0), (1, 3, 2), (40, 1, 0), (13, 16, 9), (33, 12, 5), (90, 70, 1)
"""Samples, hop and offset."""
_ORDERS = 1, 2, 8, 17
_ROUNDINGS = 100
"""Roundings that may add up, in units of the largest value: the taps' sizes add up to 0.8 at most."""


def has_frames(subject: Subject) -> bool:
    """Whether a subject's kernel takes frames, of arrays that are handed to it as they are."""
    family = subject.library.name.partition(" ")[0]
    own = family in ("numpy", "torch") and family == subject.info.family and subject.library.device == "cpu"
    return own and isinstance(registry.kernel(subject.info), FramesKernel)


def frames(subject: Subject) -> Tally:
    """Frames give what their coefficients, expanded to samples, give: values, states and all gradients."""
    kernel, tally = registry.kernel(subject.info), Tally()
    assert isinstance(kernel, FramesKernel)
    for framed, offset in _problems(subject):
        if not kernel.frames(framed):
            tally.refused["frames() says no"] += 1
            continue
        tally.computed += 1
        tally.failures += [f"{framed}: {message}" for message in _mistakes(kernel, framed, offset, subject)]
    return tally


def _problems(subject: Subject) -> Iterator[tuple[Framed, int]]:
    layouts = ("BCT", "BTC", "TBC")
    for index, ((length, hop, offset), linear, gain) in enumerate(product(_SIZES, (True, False), (True, False))):
        layout: Layout = layouts[index % 3]  # type: ignore[assignment]
        batch, channels = ((1, 1), (3, 2), (5, 1))[index // 2 % 3]
        count = max(-(-(offset + length) // hop), 1) + index % 2
        compute = "float64" if subject.dtype in ("float64", "complex128") else "float32"
        taps = Taps((1, batch)[index % 4 > 0], (1, channels)[index % 3 > 0], count, _ORDERS[index % 4], compute)
        problem = Problem(
            family="torch" if subject.info.family == "torch" else "numpy", device="cpu", dtype=subject.dtype,
            y_dtype=subject.dtype, compute_dtype=compute, layout=layout, reverse=False,  # type: ignore[arg-type]
            batch=batch, channels=channels, length=length, x_channels=(1, channels)[index % 5 > 0],
            feedforward=replace(taps, taps=1) if gain else None, feedback=taps,
        )  # fmt: skip
        yield Framed(problem, hop, linear), offset


def _mistakes(kernel: FramesKernel, framed: Framed, offset: int, subject: Subject) -> Iterator[str]:
    problem, rng = framed.problem, np.random.default_rng(framed.problem.length)
    batch, channels, length, order = problem.batch, problem.channels, problem.length, problem.order
    state, a = problem.state_dtype, problem.feedback
    assert a is not None

    def draw(shape: tuple[int, ...], dtype: str, size: float = 1.0) -> Wide:
        return round_to(size * rng.uniform(-1, 1, shape), dtype)

    x, feedback = draw((batch, problem.x_channels, length), problem.dtype), draw(a.shape, a.dtype, 0.8 / order)
    gain = None if problem.feedforward is None else draw(problem.feedforward.shape, a.dtype)
    past, grad_last = (draw((batch, channels, order), state) for _ in range(2))
    grad_y = draw((batch, channels, length), problem.y_dtype)
    own = Given(subject, problem)
    operands = Operands(
        own.signal(x, problem.dtype), None if gain is None else own.plain(gain, a.dtype), own.plain(feedback, a.dtype),
        None, own.plain(past, state),
    )  # fmt: skip
    needs = Needs(True, gain is not None, True, False, True)
    with poisoned():
        y, last = kernel.forward_frames(framed, operands, offset, own.allocate)
        grads = kernel.vjp_frames(
            framed, operands, offset, y, own.signal(grad_y, problem.y_dtype), own.plain(grad_last, state), needs,
            own.allocate,
        )  # fmt: skip
    wanted = _expected(framed, offset, Operands(x, gain, feedback, None, past), grad_y, grad_last, needs)
    names = "y", "the last outputs", *(f"gradient of {name}" for name in ("x", "feedforward", "feedback", "outputs"))
    found = y, last, grads.x, grads.feedforward, grads.feedback, grads.outputs
    for name, got, expected in zip(names, found, wanted, strict=True):
        if expected is None:
            continue
        rounded = problem.dtype if name in ("y", "gradient of x") else state
        bound = _ROUNDINGS * float(np.finfo(rounded).eps) * max(float(np.abs(expected).max(initial=0)), 1.0)
        message = mismatch(name, own.back(got), expected, bound)
        if message is not None:
            yield message


def _expected(
    framed: Framed, offset: int, operands: Operands, grad_y: Wide, grad_last: Wide, needs: Needs
) -> tuple[Any, ...]:
    """Return y, the last outputs and the gradients of x, feedforward, feedback and outputs, in double precision."""
    own, length = framed.problem, framed.problem.length
    weights = _weights(framed, offset)
    long = [None if part is None else np.einsum("tf,bcfk->bctk", weights, part) for part in operands[1:3]]
    b, a = (
        None if taps is None else replace(taps, time=length, dtype="float64")
        for taps in (own.feedforward, own.feedback)
    )
    problem = replace(
        own, dtype="float64", y_dtype="float64", compute_dtype="float64", layout="BCT", feedforward=b, feedback=a
    )
    wide = Operands(operands.x, long[0], long[1], None, operands.outputs)

    def allocate(channels: int, dtype: str) -> Wide:
        return np.empty((own.batch, channels, length), dtype)

    y: Any = reference.forward(problem, wide, allocate)
    kept = max(own.order - length, 0)
    before: Any = operands.outputs
    last = np.concatenate([before[..., own.order - kept :], y[..., length - (own.order - kept) :]], -1)
    found = reference.vjp(problem, wide, y, grad_y, grad_last[..., kept:], needs, allocate)
    past = np.array(found.outputs)
    past[..., own.order - kept :] += grad_last[..., :kept]
    of_b, of_a = (
        None if part is None else np.einsum("tf,bctk->bcfk", weights, part)
        for part in (found.feedforward, found.feedback)
    )
    return y, last, found.x, of_b, of_a, past


def _weights(framed: Framed, offset: int) -> Wide:
    """Return (T, F), the part that each frame has in the coefficients of each sample."""
    weights = np.zeros((framed.problem.length, framed.frames))
    for t, row in enumerate(weights):
        frame, inside = divmod(t + offset, framed.hop)
        part = inside / framed.hop if framed.linear else 0.0
        row[frame] += 1 - part
        row[min(frame + 1, framed.frames - 1)] += part
    return weights
