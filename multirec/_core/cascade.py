"""Second-order sections in turn, as backends see them: sizes and types, operands, and gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .operands import Array
from .problem import ComputeDtype, Family, Layout, Problem, in_precision

__all__ = ["Cascade", "CascadeGradients", "CascadeNeeds", "CascadeOperands", "CascadeResult", "cascade_of"]


@dataclass(frozen=True, slots=True)
class Cascade:
    """Sections of up to two past inputs and outputs, run in turn in transposed direct form II.

    `dtype` is x's, `y_dtype` the output's, `compute_dtype` the real precision that everything between them is in, and
    `taps_dtype` what coefficients arrive in: the caller's values rounded once to `compute_dtype`.
    """

    family: Family
    device: str
    dtype: str
    y_dtype: str
    compute_dtype: ComputeDtype
    layout: Layout
    reverse: bool
    batch: int
    channels: int
    length: int
    x_channels: int
    sections: int
    taps_batch: int
    taps_channels: int
    taps_dtype: str

    @property
    def shared(self) -> bool:
        """Whether one input channel serves several output channels."""
        return self.x_channels != self.channels

    @property
    def state_dtype(self) -> str:
        """The data type of the memory: y's, but never less than what it was computed in."""
        return in_precision(self.y_dtype, self.compute_dtype)


def cascade_of(problem: Problem, sections: int) -> Cascade:
    """Return the cascade of so many sections, of which `problem` is one."""
    taps = problem.feedforward
    assert taps is not None
    return Cascade(
        problem.family, problem.device, problem.dtype, problem.y_dtype, problem.compute_dtype, problem.layout,
        problem.reverse, problem.batch, problem.channels, problem.length, problem.x_channels, sections, taps.batch,
        taps.channels, taps.dtype,
    )  # fmt: skip


class CascadeOperands(NamedTuple):
    """The canonical arrays of a cascade, in the backend's own array family.

    `x` is (B, Cx, T). `taps` is (B|1, C|1, S, 5): feedforward[0..2] and feedback[0..1] of each section. `memory` is
    (B, C, S, 2), or None for zeros: what the two next outputs of each section get from samples before the block.
    """

    x: Array
    taps: Array
    memory: Array | None


class CascadeResult(NamedTuple):
    """`y` (B, C, T); `memory` after the block; and `ends` (B, C, S, 2), each section's last two outputs, ascending.

    Memory and ends are in the cascade's `state_dtype`, not rounded to y's. Ends of a block of less than two samples
    begin with zeros. With reverse, "last" is what was computed last: the block's first samples, still ascending.
    """

    y: Array
    memory: Array
    ends: Array


class CascadeNeeds(NamedTuple):
    """Which gradients are wanted, operand by operand."""

    x: bool
    taps: bool
    memory: bool


class CascadeGradients(NamedTuple):
    """Gradients with the canonical shapes of the operands; None where not wanted."""

    x: Array | None
    taps: Array | None
    memory: Array | None
