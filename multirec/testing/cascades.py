"""Conformance of kernels that run second-order sections in one pass, against plain steps and their adjoint."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._core.axes import from_channels_time, to_channels_time
from .._core.problem import in_precision, real_precision
from .._registry.registry import registry
from ..backend import Cascade, CascadeKernel, CascadeNeeds, CascadeOperands, Layout, Problem
from .asserts import mismatch, poisoned
from .problems import round_to
from .subject import Subject, Tally

__all__ = ["Given", "cascades", "has_cascades"]

Wide: TypeAlias = npt.NDArray[Any]
_LENGTHS = 0, 1, 2, 5, 63, 64, 65, 200
_ROUNDINGS = 100
"""Roundings that may add up, in units of the largest value: poles are within radius 0.7."""


@dataclass(frozen=True)
class _Results:
    y: Wide
    memory: Wide
    ends: Wide


def has_cascades(subject: Subject) -> bool:
    """Whether a subject's kernel runs sections in one pass, of arrays that are handed to it as they are."""
    family = subject.library.name.partition(" ")[0]
    own = family in ("numpy", "torch") and family == subject.info.family and subject.library.device == "cpu"
    return own and isinstance(registry.kernel(subject.info), CascadeKernel)


def cascades(subject: Subject) -> Tally:
    """Sections in one pass give what steps give: values, memory, ends and all gradients; NaN stays in its channel."""
    kernel, tally = registry.kernel(subject.info), Tally()
    assert isinstance(kernel, CascadeKernel)
    for cascade in _cascades(subject):
        if not kernel.cascades(cascade):
            tally.refused["cascades() says no"] += 1
            continue
        tally.computed += 1
        tally.failures += [f"{cascade}: {message}" for message in _mistakes(kernel, cascade, subject)]
    return tally


def _cascades(subject: Subject) -> Iterator[Cascade]:
    dtype, layouts = subject.dtype, ("BCT", "BTC", "TBC")
    choices = product(_LENGTHS, (False, True), (1, 0))
    for index, (length, reverse, shared) in enumerate(choices):
        layout: Layout = layouts[index % 3]  # type: ignore[assignment]
        # few rows and many, for which kernels may have ways of their own
        channels, own = (2, 40)[index % 2], (1, 0)[index // 2 % 2]
        # real signals may meet complex coefficients, but for half types, which have no complex ones
        mixed = "16" not in dtype and index % 4 > ("complex" not in dtype)
        taps_dtype = in_precision("complex64" if mixed else "float32", real_precision(dtype))
        y_dtype = in_precision("complex64", real_precision(dtype)) if mixed else dtype
        yield Cascade(
            family="torch" if subject.info.family == "torch" else "numpy", device="cpu", dtype=dtype, y_dtype=y_dtype,
            compute_dtype=real_precision(dtype), layout=layout, reverse=reverse, batch=2, channels=channels,
            length=length, x_channels=1 if shared else channels, sections=1 + index % 4,
            taps_batch=2 if own else 1, taps_channels=(channels, 1)[index % 5 == 4], taps_dtype=taps_dtype,
        )  # fmt: skip


def _mistakes(kernel: CascadeKernel, cascade: Cascade, subject: Subject) -> Iterator[str]:
    rng = np.random.default_rng(cascade.length)
    batch, channels, sections = cascade.batch, cascade.channels, cascade.sections
    signal, state = (batch, channels, cascade.length), (batch, channels, sections, 2)

    def draw(shape: tuple[int, ...], dtype: str) -> Wide:
        values = rng.standard_normal(shape)
        return round_to(values + 1j * rng.standard_normal(shape) if "complex" in dtype else values, dtype)

    x = draw((batch, cascade.x_channels, cascade.length), cascade.dtype)
    taps = draw((cascade.taps_batch, cascade.taps_channels, sections, 5), cascade.taps_dtype)
    poles = rng.uniform(0.2, 0.7, taps.shape[:-1])
    taps[..., 3], taps[..., 4] = (round_to(part, cascade.taps_dtype) for part in (1.2 * poles, -(poles**2)))
    memory, grad_memory, grad_ends = (draw(state, cascade.state_dtype) for _ in range(3))
    grad_y = draw(signal, cascade.y_dtype)
    own = Given(subject, cascade)
    state_dtype = cascade.state_dtype
    operands = CascadeOperands(
        own.signal(x, cascade.dtype), own.plain(taps, cascade.taps_dtype), own.plain(memory, state_dtype)
    )
    want = _stepped(x, taps, memory, cascade.reverse)
    with poisoned():
        found = kernel.cascade(cascade, operands, own.allocate)
        grads = kernel.cascade_vjp(
            cascade, operands, own.signal(grad_y, cascade.y_dtype), own.plain(grad_memory, state_dtype),
            own.plain(grad_ends, state_dtype), CascadeNeeds(True, True, True), own.allocate,
        )  # fmt: skip
    gradients = _adjoint(x, taps, memory, _Results(grad_y, grad_memory, grad_ends), cascade.reverse)
    names = ("y", "memory", "ends", "gradient of x", "gradient of taps", "gradient of memory")
    results = (found.y, found.memory, found.ends, *grads)
    wanted = (want.y, want.memory, want.ends, *gradients)
    for name, got, expected in zip(names, results, wanted, strict=True):
        kind = {"gradient of taps": cascade.taps_dtype, "gradient of x": cascade.dtype}.get(name, cascade.y_dtype)
        expected = expected if "complex" in kind else expected.real
        rounded = cascade.dtype if name in ("y", "gradient of x") else cascade.state_dtype
        eps = float(np.finfo(rounded).eps)
        bound = _ROUNDINGS * eps * max(float(np.abs(expected).max(initial=0)), 1.0)
        message = mismatch(name, own.back(got), expected, bound)
        if message is not None:
            yield message
    if cascade.length and not cascade.shared:
        spoiled = np.array(x)
        spoiled[0, 0, 0] = np.nan
        y = own.back(kernel.cascade(cascade, operands._replace(x=own.signal(spoiled, cascade.dtype)), own.allocate).y)
        clean = np.ones(signal[:2], bool)
        clean[0, 0] = False
        if not np.array_equal(y[clean], own.back(found.y)[clean]):
            yield "y of other channels changes where one has a NaN"


class Given:
    """Arrays in the library and axes that a kernel takes, and back."""

    def __init__(self, subject: Subject, problem: Cascade | Problem) -> None:
        self.problem, self.is_torch = problem, subject.info.family == "torch"

    def plain(self, values: Wide, dtype: str) -> Any:
        values = values.astype(dtype)
        return sys.modules["torch"].from_numpy(values) if self.is_torch else values

    def signal(self, values: Wide, dtype: str) -> Any:
        """Lay a signal out in the layout, and view it as (B, C, T)."""
        stored = np.ascontiguousarray(from_channels_time(values, self.problem.layout))
        return to_channels_time(self.plain(stored, dtype), self.problem.layout)

    def allocate(self, channels: int, dtype: str) -> Any:
        return self.signal(np.full((self.problem.batch, channels, self.problem.length), np.nan), dtype)

    def back(self, array: Any) -> Wide:
        values: Wide = np.asarray(array)
        return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _stepped(x: Wide, taps: Wide, memory: Wide, reverse: bool) -> _Results:
    """Run the sections sample by sample, in double precision."""
    batch, channels, sections, _ = memory.shape
    wide = np.result_type(x, taps, memory, np.float64)
    u = np.broadcast_to(x, (batch, channels, x.shape[2])).astype(wide)
    after, ends = memory.astype(wide), np.zeros(memory.shape, wide)
    for place in range(sections):
        u, after[:, :, place] = _section(u, taps[:, :, place], after[:, :, place], reverse)
        few = min(u.shape[2], 2)
        if few:
            last = u[..., :few] if reverse else u[..., -few:]
            ends[:, :, place, slice(0, few) if reverse else slice(2 - few, 2)] = last
    return _Results(u, after, ends)


def _section(u: Wide, taps: Wide, memory: Wide, reverse: bool) -> tuple[Wide, Wide]:
    b0, b1, b2, f1, f2 = np.moveaxis(taps, -1, 0)
    y, (m0, m1) = np.empty_like(u), np.moveaxis(memory, -1, 0)
    for t in range(u.shape[2])[:: -1 if reverse else 1]:
        y[..., t] = b0 * u[..., t] + m0
        m0, m1 = b1 * u[..., t] + f1 * y[..., t] + m1, b2 * u[..., t] + f2 * y[..., t]
    return y, np.stack([m0, m1], axis=-1)


def _adjoint(x: Wide, taps: Wide, memory: Wide, grads: _Results, reverse: bool) -> tuple[Wide, Wide, Wide]:
    """Return the gradients of x, taps and memory: every step undone, last first."""
    batch, channels, sections, _ = memory.shape
    length, wide = x.shape[2], np.result_type(x, taps, memory, np.float64)
    u, signals = np.broadcast_to(x, (batch, channels, length)).astype(wide), []
    for place in range(sections):
        y, _ = _section(u, taps[:, :, place], memory[:, :, place], reverse)
        signals.append((u, y))
        u = y
    grad = grads.y.astype(wide)
    to_taps, to_memory = np.zeros((batch, channels, sections, 5), wide), np.zeros(memory.shape, wide)
    few = min(length, 2)
    for place in range(sections)[::-1]:
        b0, b1, b2, f1, f2 = np.moveaxis(taps[:, :, place].conj(), -1, 0)
        of_ends = grads.ends[:, :, place]
        if few:
            grad[..., slice(0, few) if reverse else slice(length - few, length)] += (
                of_ends[..., :few] if reverse else of_ends[..., 2 - few :]
            )
        u, y = signals[place]
        m0, m1 = np.moveaxis(grads.memory[:, :, place].astype(wide), -1, 0)
        to_u = np.empty_like(grad)
        for t in range(length)[:: 1 if reverse else -1]:
            at_u, at_y = u[..., t].conj(), y[..., t].conj()
            of_y = grad[..., t] + f1 * m0 + f2 * m1
            to_u[..., t] = b0 * of_y + b1 * m0 + b2 * m1
            parts = (of_y * at_u, m0 * at_u, m1 * at_u, m0 * at_y, m1 * at_y)
            to_taps[:, :, place] += np.stack(parts, axis=-1)
            m0, m1 = of_y, m0
        to_memory[:, :, place] = np.stack([m0, m1], axis=-1)
        grad = to_u
    to_x = grad.sum(axis=1, keepdims=True) if x.shape[1] != channels else grad
    for axis in (0, 1):
        if taps.shape[axis] == 1:
            to_taps = to_taps.sum(axis=axis, keepdims=True)
    return to_x, to_taps, to_memory
