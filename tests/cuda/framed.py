"""Runs the emulated kernels on coefficients that come at a frame rate, against those that were expanded to samples.

A program too, since the address sanitizer must be loaded before Python.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import checked
import numpy as np
from cases.frames import LONG, SHORT
from stepped import stepped
from tried import report

from multirec._core.problem import real_precision
from multirec.backend import COMPLEX_DTYPES, Framed, Needs, Operands, Problem

BATCH, CHANNELS = 2, 2
_TOLERANCES = {"float16": 2e-3, "float32": 2e-5, "complex64": 2e-5, "float64": 1e-12}


def weights(length: int, frames: int, hop: int, offset: int, linear: bool) -> Any:
    """Return (T, F): how much of each frame is in the coefficients of each sample."""
    whole = np.zeros((length, frames))
    for t in range(length):
        frame, within = divmod(t + offset, hop)
        way = within / hop if linear and frame + 1 < frames else 0.0
        whole[t, frame] = 1 - way
        if way:
            whole[t, frame + 1] = way
    return whole


class FramedCase:
    """One problem with random operands."""

    def __init__(
        self, *, order: int, length: int, hop: int, offset: int = 0, extra: int = 0, q: int = 0, linear: bool = True,
        taps: tuple[int, int] = (BATCH, CHANNELS), gain_taps: tuple[int, int] = (BATCH, CHANNELS), gain: bool = True,
        dtype: str = "float32", layout: Any = "BCT", shared: bool = False, growing: bool = False,
    ) -> None:  # fmt: skip
        self.rng, self.layout, self.offset = np.random.default_rng(0), layout, offset
        taps_dtype = "float32" if dtype == "float16" else dtype
        needed = max(-(-(offset + length) // hop), 1)
        a = self.noise(*taps, (needed + extra) * order, taps_dtype).reshape(*taps, -1, order)
        a = 0.8 * a / np.abs(a).sum(-1, keepdims=True)
        if growing:
            a[:, :1, 1:2] = [1.4, *[0] * (order - 1)]
        a = a.astype(taps_dtype)
        b: Any = self.noise(*gain_taps, needed * (q + 1), taps_dtype).reshape(*gain_taps, -1, q + 1) if gain else None
        b_taps, a_taps = map(checked.taps_of, (b, a))
        own = 1 if shared else CHANNELS
        problem = Problem(
            "numpy", "cpu", dtype, dtype, real_precision(dtype), layout, False, BATCH, CHANNELS, length, own, b_taps,
            a_taps,
        )  # fmt: skip
        self.framed = Framed(problem, hop, linear)
        inputs = self.noise(BATCH, own, q, dtype) if q else None
        outputs = self.noise(BATCH, CHANNELS, order, problem.state_dtype)
        self.operands = Operands(self.noise(BATCH, own, length, dtype), b, a, inputs, outputs)
        self.grad_y = self.noise(BATCH, CHANNELS, length, dtype)
        self.grad_last = self.noise(BATCH, CHANNELS, order, problem.state_dtype)

    def noise(self, batch: int, channels: int, length: int, dtype: str) -> Any:
        shape = batch, channels, length
        values = self.rng.standard_normal(shape) + 1j * self.rng.standard_normal(shape)
        values = values if dtype in COMPLEX_DTYPES else values.real
        return checked.in_host_memory(values.astype(dtype), self.layout, False)

    def allocate(self, channels: int, dtype: str) -> Any:
        shape = BATCH, channels, self.framed.problem.length
        return checked.in_host_memory(np.full(shape, np.nan, dtype), self.layout, False)

    def run(self, kernel: Any) -> list[Any]:
        """Return y, the last outputs, and all gradients."""
        place = self.framed, self.operands, self.offset
        y, last = kernel.forward_frames(*place, self.allocate)
        needs = Needs(*(operand is not None for operand in self.operands))
        return [y, last, *kernel.vjp_frames(*place, y, self.grad_y, self.grad_last, needs, self.allocate)]

    def truth(self) -> list[Any]:
        """Return the same of coefficients that were expanded, in long double."""
        problem, (x, b, a, inputs, outputs) = self.framed.problem, cast(tuple[Any, ...], self.operands)
        hop, linear, length, p = self.framed.hop, self.framed.linear, problem.length, problem.order
        ways = [None if part is None else weights(length, part.shape[2], hop, self.offset, linear) for part in (b, a)]
        wide: list[Any] = [
            None if way is None or part is None else np.einsum("tf,bcfk->bctk", way, part)
            for way, part in zip(ways, (b, a), strict=True)
        ]
        kept = max(p - length, 0)
        whole = replace(problem, feedforward=checked.taps_of(wide[0]), feedback=checked.taps_of(wide[1]))
        last = self.grad_last[..., kept:]
        y, tail, *grads = stepped(
            whole, Operands(x, wide[0], wide[1], inputs, outputs), self.grad_y, last, extended=True
        )
        tail = np.concatenate([outputs[..., length:] if kept else outputs[..., :0], tail], -1)
        for index, way in enumerate(ways):
            if way is not None:
                grads[1 + index] = np.einsum("tf,bctk->bcfk", way, grads[1 + index])
        if kept:
            grads[4][..., length:] += self.grad_last[..., :kept]
        return [y, tail, *grads]

    def faults(self, kernel: Any) -> list[str]:
        """Return what differs from the truth."""
        faults = []
        for name, own, want in zip(checked.NAMES, self.run(kernel), self.truth(), strict=True):
            if own is None or not want.size:
                continue
            error = np.abs(own - want).max() / max(np.abs(want).max(), 1e-9)
            if own.shape != want.shape or not error <= _TOLERANCES[self.framed.problem.dtype] * (
                1 if name == "y" else 10
            ):
                faults.append(f"{name}: off by {error:.1e}")
        return faults


def main(long: bool = False) -> None:
    """Compute cases with the sanitizers."""
    report(FramedCase, LONG if long else SHORT)
