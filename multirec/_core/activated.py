"""Recurrences with an activation inside, as backends see them: sizes and types, operands, and what a kernel gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from .operands import Array
from .problem import ComputeDtype, Family, Layout, Problem, Taps

__all__ = [
    "ACTIVATIONS",
    "CHECKPOINT",
    "Activated",
    "ActivatedGradients",
    "ActivatedNeeds",
    "ActivatedOperands",
    "Activation",
    "Recurrence",
    "signal_problem",
]

Activation: TypeAlias = Literal["identity", "relu", "tanh", "sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = ("identity", "relu", "tanh", "sigmoid")
Recurrence: TypeAlias = Literal["independent", "sru", "envelope"]
CHECKPOINT = 64
"""Samples between two states that are kept for the gradient."""


@dataclass(frozen=True, slots=True)
class Activated:
    """A recurrence of one of three kinds, for each example and channel on its own.

    ===============  ======================================  ===================================================
    kind             signals                                 parameters
    ===============  ======================================  ===================================================
    ``independent``  x                                       feedback (…, order)
    ``sru``          ux, uf, ur and, with highway, its own   weight (…, 2): of f and of r; bias (…, 2), likewise
    ``envelope``     x; and attack, release where they vary  attack (…, 1) and release (…, 1) where they do not
    ===============  ======================================  ===================================================

    With h for y, c for the state and σ for the logistic function they compute::

        independent  h[t] = activation(x[t] + Σ_{k=1..order} feedback[k-1]·h[t-k])
        sru          f = σ(uf[t] + weight[0]·c[t-1] + bias[0]);  r = σ(ur[t] + weight[1]·c[t-1] + bias[1])
                     c[t] = ux[t] + f·(c[t-1] - ux[t]);  h[t] = w + r·(activation(c[t]) - w),  w = scale·highway[t]
        envelope     y[t] = y[t-1] + g·(x[t] - y[t-1]), where g is attack if x[t] > y[t-1], else release

    `dtypes` are those of the signals; y is of the first one's. Everything between is in `compute_dtype`, and so are
    parameters and states. `order` is how many numbers a state has: of `sru` and `envelope` one. With `numbered` there
    are several sequences in a row, and with `count` the states are theirs, as `SequenceKernel` says.
    """

    kind: Recurrence
    activation: Activation
    order: int
    scale: float
    family: Family
    device: str
    dtypes: tuple[str, ...]
    compute_dtype: ComputeDtype
    layout: Layout
    reverse: bool
    batch: int
    channels: int
    length: int
    numbered: bool = False
    count: int | None = None

    @property
    def dtype(self) -> str:
        """The data type of y."""
        return self.dtypes[0]

    @property
    def states(self) -> int:
        """How many states there are: one an example, or one a sequence."""
        return self.batch if self.count is None else self.count

    def describe(self) -> str:
        """Return the problem in a few words, for error messages."""
        activation = "" if self.kind == "envelope" else f" with activation {self.activation!r}"
        return (
            f"{self.kind!r}{activation} of order {self.order}, {self.batch} × {self.channels} channels × {self.length} "
            f"samples, {self.dtype} on {self.device}"
        )


class ActivatedOperands(NamedTuple):
    """The canonical arrays of a problem, in the backend's own array family.

    `signals` are (B, C, T) of any strides, 0 included; `parameters` (B|1, C|1, n) and `state` (states, C, order), the
    last outputs before the block ascending in time, or None for zeros, are in ``problem.compute_dtype``; `numbers`
    (B, T) int32, or None, is what `SequenceKernel` says.
    """

    signals: tuple[Array, ...]
    parameters: tuple[Array, ...]
    state: Array | None
    numbers: Array | None


class ActivatedNeeds(NamedTuple):
    """Which gradients are wanted besides those of signals."""

    parameters: tuple[bool, ...]
    state: bool


class ActivatedGradients(NamedTuple):
    """Gradients of the shapes of the operands, in any precision at least the kernel's own; None where not wanted."""

    parameters: tuple[Array | None, ...]
    state: Array | None


def signal_problem(problem: Activated) -> Problem:
    """Return a linear recurrence whose signals and states lie alike, by which arrays are handed over."""
    taps = Taps(1, 1, 1, problem.order, problem.compute_dtype)
    return Problem(
        problem.family, problem.device, problem.dtype, problem.dtype, problem.compute_dtype, problem.layout,
        problem.reverse, problem.batch, problem.channels, problem.length, problem.channels, None, taps,
    )  # fmt: skip
