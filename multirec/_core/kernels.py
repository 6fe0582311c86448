"""What a backend's kernel is: the least that it gives, and what it may give besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from .activated import Activated, ActivatedGradients, ActivatedNeeds, ActivatedOperands
from .cascade import Cascade, CascadeGradients, CascadeNeeds, CascadeOperands, CascadeResult
from .cell import Cell, Lines
from .form import Form
from .framed import Framed
from .operands import Array, Gradients, Needs, Operands
from .problem import Problem

__all__ = [
    "ActivatedKernel",
    "Allocate",
    "CascadeKernel",
    "DirectKernel",
    "DirectProblem",
    "ForwardKernel",
    "FramesKernel",
    "FusedKernel",
    "InPlaceKernel",
    "Probe",
    "ProbingKernel",
    "SequenceKernel",
    "StepKernel",
]


class Allocate(Protocol):
    """Gives a fresh, uninitialised canonical array (B, channels, T) in the caller's own memory.

    It is contiguous in the problem's layout and on 64-byte boundaries where it is large. In place
    kernels must take `y` (channels = C, dtype = problem.y_dtype) and the gradient of x (channels =
    problem.x_channels, dtype = problem.dtype) from here; kernels that return new arrays ignore it.
    """

    def __call__(self, channels: int, dtype: str) -> Array: ...


@runtime_checkable
class ForwardKernel(Protocol):
    """The least that a backend gives. Its gradient then comes from `multirec.adjoint`."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Array | tuple[Array, Array]:
        """Return y (B, C, T) of dtype `problem.y_dtype`; where ``problem.state_dtype`` is another, (y, last).

        `last` (B, C, min(p, T)) holds the last outputs that were computed, of dtype ``problem.state_dtype`` and not
        rounded to y's, ascending in memory: those of y[..., T-n:], with reverse of y[..., :n].
        """


@runtime_checkable
class FusedKernel(ForwardKernel, Protocol):
    """A kernel with its own first derivative."""

    def vjp(
        self,
        problem: Problem,
        operands: Operands,
        y: Array,
        grad_y: Array,
        grad_last: Array | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        """Return the adjoint applied to `grad_y` (torch's convention: conjugated coefficients).

        ``operands.x`` is the input where ``needs.feedforward``, and `y` the output where ``needs.feedback``; otherwise
        they are any arrays of that shape and dtype: not to be read. `grad_y` (B, C, T) has any strides, 0 included,
        and is not to be written to. `grad_last` (B, C, min(p, T)), or None, is a further gradient of the last outputs
        to be computed, ascending in memory: it belongs to y[..., T-n:], with reverse to y[..., :n], and is of dtype
        ``problem.state_dtype``. Gradients are summed over broadcast axes; where an operand is real its gradient is
        the real part. Coefficient and state gradients may be in any precision at least the kernel's own.
        """


@runtime_checkable
class InPlaceKernel(ForwardKernel, Protocol):
    """A kernel that may be given the memory of x for y."""

    def in_place(self, problem: Problem) -> bool:
        """Say whether it reads each sample of x before it writes y there; x then is not shared."""


class DirectProblem(Protocol):
    """A problem bound to the shapes and axes that a caller's arrays have."""

    def forward(
        self, x: Array, feedforward: Array | None, feedback: Array | None, inputs: Array | None, outputs: Array | None
    ) -> tuple[Array, Array, Array]:
        """Return y and the state after the block, its inputs and outputs: new arrays, contiguous in the layout."""

    def vjp(self, arrays: tuple[Array | None, ...], y: Array | None, grad_y: Array, needs: Needs) -> Gradients:
        """Return the adjoint applied to `grad_y`, with the shapes and data types of the arrays.

        x is None where feedforward needs no gradient, and y where feedback needs none.
        """


@runtime_checkable
class DirectKernel(FusedKernel, Protocol):
    """A kernel that takes arrays as the caller has them, by their addresses, and gives the state as well.

    It serves plain calls: arrays of x's own library, on its device, of the data types that are computed in, with one
    batch axis or none, and no less samples than the state has.
    """

    def direct(self, problem: Problem, form: Form) -> DirectProblem:
        """Return what computes the problem for arrays of a form, whose strides may differ from call to call."""


@runtime_checkable
class CascadeKernel(Protocol):
    """A kernel that runs second-order sections in one pass, and their gradient in another.

    Each section computes, with taps (b0, b1, b2, a1, a2) and its memory (m0, m1)::

        y[t] = b0·x[t] + m0;  m0 = b1·x[t] + a1·y[t] + m1;  m1 = b2·x[t] + a2·y[t]

    and its y is the next one's x. Where a backend has no such kernel, or `cascades` declines, sections run one by one.
    """

    def cascades(self, cascade: Cascade) -> bool:
        """Say whether it computes a cascade in one pass, and faster so."""

    def cascade(self, cascade: Cascade, operands: CascadeOperands, allocate: Allocate) -> CascadeResult:
        """Return y, the memory after the block and the ends; `allocate` may give x's own memory for y."""

    def cascade_vjp(
        self,
        cascade: Cascade,
        operands: CascadeOperands,
        grad_y: Array,
        grad_memory: Array | None,
        grad_ends: Array | None,
        needs: CascadeNeeds,
        allocate: Allocate,
    ) -> CascadeGradients:
        """Return the adjoint applied to the gradients of the result (torch's convention: conjugated coefficients).

        `grad_y` (B, C, T) has any strides, 0 included, and is not to be written to; the others are of the shapes and
        data types that the result has, None for zeros. The gradient of x comes from `allocate`; those of the others
        may be in any precision at least the kernel's own. Gradients are summed over broadcast axes; where an operand is
        real its gradient is the real part.
        """


@runtime_checkable
class SequenceKernel(Protocol):
    """A kernel that computes several sequences in one row of time, in one pass, and their gradient in another.

    `numbers` (B, T), int32 of any strides, says which sequence each sample belongs to: ascending along time, -1 for
    what is no sample (padding). y and gradients are 0 there, and nothing reads it. Beyond its own sequence a sample
    finds zeros where it looks back, or ahead with reverse, past inputs included.

    There is one state an example, or with `count` one a sequence: then B is 1, numbers are below `count`, and
    (count, ...) takes the place of (B, ...) in ``operands.inputs``, ``operands.outputs`` and `last`. The edge of an
    example before its first sample is in sequence 0, even where no sample has that number, and the edge after its last
    in the sequence of its last sample, or in 0 without any. A state that is given reaches the sequence that its edge is
    in, and one that is returned holds what lies in the sequence of its edge: zeros beyond, and the given state where
    nothing has cut it off. With `count` both edges of a sequence are in it.

    Where a backend has no such kernel, or `sequences` declines, sequences of like length are computed side by side.
    """

    def sequences(self, problem: Problem, count: int | None) -> bool:
        """Say whether it computes sequences of such a problem."""

    def forward_sequences(
        self, problem: Problem, operands: Operands, numbers: Array, count: int | None, allocate: Allocate
    ) -> tuple[Array, Array]:
        """Return y (B, C, T) and the p outputs after the block (states, C, p) of dtype ``problem.state_dtype``."""

    def vjp_sequences(
        self,
        problem: Problem,
        operands: Operands,
        numbers: Array,
        count: int | None,
        y: Array,
        grad_y: Array,
        grad_last: Array | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        """Return the adjoint applied to `grad_y` and `grad_last` (states, C, p), as `FusedKernel.vjp` does."""


@runtime_checkable
class ActivatedKernel(Protocol):
    """A kernel that runs recurrences with an activation inside (`Activated`), and their gradient.

    Starts, (pieces, order, B, C) in memory of that order and of ``problem.compute_dtype``, are the states before every
    `CHECKPOINT` samples in running order, each with its last outputs ascending in running order: from there a gradient
    computes again what lies between. A kernel that has another way may leave anything in them.
    """

    def activates(self, problem: Activated) -> str:
        """Return why it does not compute a problem, in words that follow "does not support"; "" where it does."""

    def forward_activated(
        self, problem: Activated, operands: ActivatedOperands, y: Array, starts: Array | None
    ) -> Array:
        """Fill `y` (B, C, T) and, unless None, `starts`; return the state after the block, (states, C, order)."""

    def vjp_activated(
        self,
        problem: Activated,
        operands: ActivatedOperands,
        starts: Array,
        grad_y: Array,
        grad_state: Array | None,
        targets: tuple[Array | None, ...],
        needs: ActivatedNeeds,
    ) -> ActivatedGradients:
        """Fill `targets` with the gradients of the signals that are wanted; return the others.

        `grad_y` (B, C, T) has any strides, 0 included, and is not to be written to. `grad_state` (states, C, order), of
        ``problem.compute_dtype``, is the gradient of the state after the block, None for zeros. Gradients of parameters
        are summed over broadcast axes.
        """


@runtime_checkable
class FramesKernel(Protocol):
    """A kernel that takes coefficients at a frame rate, and makes those of each sample itself.

    The first sample of a block is `offset` samples after the first frame, less than a hop, and there are as many frames
    as the block begins, or one more. ``operands.feedforward`` (B|1, C|1, F, q+1) and ``operands.feedback``
    (B|1, C|1, F, p) hold one frame a row; what `Framed` says is between them. Nothing runs backwards.

    Where a backend has no such kernel, or `frames` declines, coefficients are expanded to samples, chunk by chunk.
    """

    def frames(self, framed: Framed) -> bool:
        """Say whether it computes such a recurrence."""

    def forward_frames(
        self, framed: Framed, operands: Operands, offset: int, allocate: Allocate
    ) -> tuple[Array, Array]:
        """Return y (B, C, T) and the p outputs after the block (B, C, p) of dtype ``problem.state_dtype``."""

    def vjp_frames(
        self,
        framed: Framed,
        operands: Operands,
        offset: int,
        y: Array,
        grad_y: Array,
        grad_last: Array | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        """Return the adjoint applied to `grad_y` and `grad_last` (B, C, p), as `FusedKernel.vjp` does.

        Gradients of coefficients have their frames, each the sum over the samples that it has a part in.
        """


@runtime_checkable
class StepKernel(Protocol):
    """A kernel of the host that runs what is elementwise in one sample of a unit, in one call.

    Where a backend has no such kernel, or `step` declines, the library of x computes operation by operation.
    """

    def step(self, cell: Cell, rows: int, channels: int, lines: tuple[Lines, ...]) -> Callable[..., object] | None:
        """Return what runs a cell for `rows` examples of so many channels, or None.

        It is called with the addresses of the operands and then of the results, which overlap with nothing. `lines` are
        of all of them, in the same order.
        """


class Probe(NamedTuple):
    """What a backend computes with on this machine.

    Attributes
    ----------
    version
        The library or libraries, and their versions, in a few words.
    devices
        The types of devices that it can use here.
    reason, fix
        Why it can use none, and what to do; without them nothing is wrong but that there is none.
    """

    version: str
    devices: tuple[str, ...]
    reason: str = ""
    fix: str = ""


@runtime_checkable
class ProbingKernel(ForwardKernel, Protocol):
    """A kernel that finds out by itself what `multirec backends` says of it."""

    def probe(self) -> Probe | None:
        """Try out what it computes with; None is for what is done without this method.

        Then the version is that of the first of `BackendInfo.requires`, and its family's library says the devices.
        """
