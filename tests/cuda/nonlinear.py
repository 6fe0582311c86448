"""Runs the emulated kernels of recurrences with an activation inside, against the same steps in float64.

A program too, since the address sanitizer must be loaded before Python.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import checked
import numpy as np
from cases.activated import LONG, SHORT
from packed import LENGTH, numbers_of
from tried import report

from multirec._core.problem import real_precision
from multirec._core.stepping_adjoint import adjoint_of_steps
from multirec._machine.bfloat16 import from_bfloat16, to_bfloat16
from multirec.backend import CHECKPOINT, Activated, ActivatedNeeds, ActivatedOperands, step_through

_TOLERANCES = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 2e-5, "float64": 1e-13}
BATCH = 6


def cast(array: Any, dtype: str) -> Any:
    """Return an array in a data type; bfloat16 as its bits."""
    return to_bfloat16(array.astype(np.float32)) if dtype == "bfloat16" else array.astype(dtype)


def wide(array: Any) -> Any:
    """Return an array in float64."""
    return (from_bfloat16(array) if array.dtype == np.uint16 else array).astype(np.float64)


class Nonlinear:
    """One problem with random operands."""

    def __init__(
        self, *, kind: Any, activation: Any, channels: int, order: int = 1, dtype: str = "float32", layout: Any = "BCT",
        marked: str = "", reverse: bool = False, highway: str = "", varying: bool = False, shared: bool = False,
        nan: bool = False, stateless: bool = False, length: int = LENGTH,
    ) -> None:  # fmt: skip
        self.rng, self.layout, self.nan = np.random.default_rng(0), layout, nan
        compute = real_precision(dtype)
        dtypes = (dtype, *[dtype] * (2 * (kind == "sru")), *([highway] if highway else []), *[compute] * 2 * varying)
        numbers, count = numbers_of(marked == "states", length) if marked else (None, None)
        batch = 1 if count else BATCH
        self.problem = Activated(
            kind, activation, order, 1.5 if highway else 1.0, "numpy", "cpu", dtypes, compute, layout, reverse, batch,
            channels, length, bool(marked), count,
        )  # fmt: skip
        self.signals = [self.noise(batch, channels, length, own) for own in dtypes]
        if shared:
            self.signals[0] = np.broadcast_to(self.signals[0][:, :1], (batch, channels, length))
        if varying:
            self.signals[1:] = [np.abs(signal) / 4 for signal in self.signals[1:]]
        if nan:
            self.signals[0][1, 2, length // 2] = cast(np.array(np.nan), dtype)
        widths = {"independent": (order,), "sru": (2, 2), "envelope": () if varying else (1, 1)}[kind]
        shapes = [(1 if index else batch, channels if index or kind != "sru" else 1) for index in range(2)]
        self.parameters = tuple(
            np.asarray(self.rng.uniform(0.1, 0.7, (*shape, width)) / width, compute)
            for shape, width in zip(shapes, widths, strict=False)
        )
        states = self.problem.states, channels, order
        self.state = None if stateless else self.noise(*states, compute)
        self.numbers = numbers
        self.grad_y, self.grad_state = self.noise(batch, channels, length, dtype), self.noise(*states, compute)

    def noise(self, batch: int, channels: int, length: int, dtype: str) -> Any:
        values = cast(self.rng.standard_normal((batch, channels, length)), dtype)
        return checked.in_host_memory(values, self.layout, False)

    def empty(self, dtype: str) -> Any:
        shape = self.problem.batch, self.problem.channels, self.problem.length
        return checked.in_host_memory(cast(np.full(shape, np.nan), dtype), self.layout, False)

    def run(self, kernel: Any) -> list[Any]:
        """Return y, the state, and all gradients."""
        problem = self.problem
        operands = ActivatedOperands(tuple(self.signals), self.parameters, self.state, self.numbers)
        y = self.empty(problem.dtype)
        pieces = -(-problem.length // CHECKPOINT)
        shape = pieces, problem.order, problem.batch, problem.channels
        starts = np.full(shape, np.nan, problem.compute_dtype)
        state = kernel.forward_activated(problem, operands, y, starts)
        targets = tuple(map(self.empty, problem.dtypes))
        needs = ActivatedNeeds((True,) * len(self.parameters), True)
        found = kernel.vjp_activated(problem, operands, starts, self.grad_y, self.grad_state, targets, needs)
        return [y, state, *targets, *found.parameters, found.state]

    def truth(self) -> list[Any]:
        """Return the same, of steps in float64."""
        problem = replace(self.problem, compute_dtype="float64")
        signals, parameters = tuple(map(wide, self.signals)), tuple(map(wide, self.parameters))
        operands = ActivatedOperands(
            signals, parameters, None if self.state is None else wide(self.state), self.numbers
        )
        with np.errstate(all="ignore"):
            y, state = step_through(problem, operands)
            grads = adjoint_of_steps(problem, operands, wide(self.grad_y), wide(self.grad_state))
        return [y, state, *grads[0], *grads[1], grads[2]]

    def spoil(self) -> None:
        """Put NaN wherever there is padding."""
        if self.numbers is None:
            return
        for array in (*self.signals, self.grad_y):
            array[np.broadcast_to((self.numbers < 0)[:, None], array.shape)] = (
                cast(np.array(np.nan), "bfloat16") if (array.dtype == np.uint16) else np.nan
            )

    def faults(self, kernel: Any) -> list[str]:
        """Return what differs from the truth."""
        wanted = self.truth()
        self.spoil()
        faults = []
        for index, (own, want) in enumerate(zip(self.run(kernel), wanted, strict=True)):
            found = wide(own)
            fine = np.isfinite(want)
            error = np.abs(found - want)[fine].max(initial=0) / max(np.abs(want[fine]).max(initial=0), 1e-9)
            allowed = _TOLERANCES[self.problem.dtype] * (1 if index < 2 else 10)
            if found.shape != want.shape or not error <= allowed or (np.isfinite(found) != fine).any():
                faults.append(f"result {index}: off by {error:.1e}, or not finite where it is")
        return faults


def main(long: bool = False) -> None:
    """Compute cases with the sanitizers."""
    report(Nonlinear, LONG if long else SHORT)
