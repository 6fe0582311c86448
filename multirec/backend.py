"""What a backend author imports: the problem, the operands, and the description of a backend.

A backend is a frozen `BackendInfo` (standard library and this module only) that names a *kernel*, an object
imported when the backend is first bound. The kernel sees every problem in one canonical form, whatever
the caller's layout and number of batch axes:

===============  ===================================  =======================================================
operand          shape                                meaning
===============  ===================================  =======================================================
``x``            (B, Cx, T), Cx is 1 or C             inputs; Cx = 1 < C is an input shared by all channels
``feedforward``  (B|1, C|1, T|1, q+1) or None         taps of x[t], x[t-1], …; None means 1
``feedback``     (B|1, C|1, T|1, p) or None           taps of y[t-1], y[t-2], …; None is FIR
``inputs``       (B, Cx, q) or None                   the q inputs before the block; None means zeros
``outputs``      (B, C, p) or None                    the p outputs before the block; None means zeros
``y``            (B, C, T)                            outputs
``last``         (B, C, min(p, T))                    the last outputs of the block, before they are rounded to y's
===============  ===================================  =======================================================

They are views with any strides (a stride may be 0, and negative where the library has such); an axis of length 1
in the coefficients is broadcast. Everything between x and y is computed in the real precision
``problem.compute_dtype``: coefficients arrive rounded to it, and past outputs in ``problem.state_dtype``, which is
y's dtype in that precision. Where the two differ (half types, and problems that are ``wide``) a kernel gives the last
outputs as well as y, so that a call that is continued loses nothing by how y is stored.
With ``problem.reverse`` time runs backwards: y[t] depends on y[t+1], …, and the state's samples,
still ascending in time, follow the block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from ._core.activated import CHECKPOINT, Activated, ActivatedGradients, ActivatedNeeds, ActivatedOperands
from ._core.cascade import Cascade, CascadeGradients, CascadeNeeds, CascadeOperands, CascadeResult
from ._core.cell import Cell, Instruction, Lines, Operation, Place
from ._core.declaration import check_declaration, in_tuples
from ._core.form import Axes, Form
from ._core.framed import Framed
from ._core.kernels import (
    ActivatedKernel,
    Allocate,
    CascadeKernel,
    DirectKernel,
    DirectProblem,
    ForwardKernel,
    FramesKernel,
    FusedKernel,
    InPlaceKernel,
    Probe,
    ProbingKernel,
    SequenceKernel,
    StepKernel,
)
from ._core.operands import Array, Gradients, Needs, Operands
from ._core.problem import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, Family, Kind, Layout, Problem, Taps, Target
from ._core.stepping import step_through
from ._machine.address import address
from ._machine.bfloat16 import from_bfloat16, to_bfloat16
from ._machine.cache import cache_folder
from ._machine.threads import after_fork, no_fork, num_threads
from .errors import BackendBrokenError

__all__ = [
    "CHECKPOINT",
    "COMPLEX_DTYPES",
    "HALF_DTYPES",
    "REAL_DTYPES",
    "Activated",
    "ActivatedGradients",
    "ActivatedKernel",
    "ActivatedNeeds",
    "ActivatedOperands",
    "Allocate",
    "Array",
    "Axes",
    "BackendInfo",
    "Cascade",
    "CascadeGradients",
    "CascadeKernel",
    "CascadeNeeds",
    "CascadeOperands",
    "CascadeResult",
    "Cell",
    "DirectKernel",
    "DirectProblem",
    "Family",
    "Form",
    "ForwardKernel",
    "Framed",
    "FramesKernel",
    "FusedKernel",
    "Gradients",
    "InPlaceKernel",
    "Instruction",
    "Kind",
    "Layout",
    "Lines",
    "Needs",
    "Operands",
    "Operation",
    "Place",
    "Probe",
    "ProbingKernel",
    "Problem",
    "SequenceKernel",
    "StepKernel",
    "Support",
    "Taps",
    "Target",
    "address",
    "after_fork",
    "cache_folder",
    "from_bfloat16",
    "no_fork",
    "num_threads",
    "step_through",
    "to_bfloat16",
]


class Support(NamedTuple):
    """Whether a backend computes a problem, and if not, why not."""

    ok: bool
    reason: str


_YES = Support(True, "")


def _accept(problem: Problem) -> str | None:
    return None


def _silent(problem: Problem) -> str:
    return ""


def _never(family: Family) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class BackendInfo:
    """The description of a backend: what it is, what it needs, what it computes.

    Every field is checked when it is made. Lists are kept as tuples, so that a backend is hashable.

    Parameters
    ----------
    name, summary
        The name users choose it by, of letters, digits, "_", "-" and ".", and one line for `multirec backends`.
    kernel
        ``"module:attribute"`` of the kernel object, imported when the backend is first bound.
    family
        The array library whose arrays the kernel takes. Host arrays of the other families reach a "numpy" kernel
        without a copy, and so on (see the user guide on array families).
    requires
        Importable top-level modules that must be installed; ``"jax>=0.10"`` names the oldest version, too. The version
        is that of the distribution which brings the module: of cupy-cuda13x for ``"cupy>=14"``.
    without
        Called with an array library where something of `requires` is missing or too old: whether its arrays are
        computed all the same. It may look for files and versions, but imports nothing; the answer is remembered.
    install
        What to pass to ``pip install`` when one of them is missing or too old.
    devices, dtypes, kinds
        Device types that hold arrays of its family, data types of x, and kinds of coefficients that it computes.
        `multirec check` fails where one of them is never computed.
    min_order, max_order
        The orders p that it computes; `max_order` None is any.
    wide
        Whether it computes in float64 what is float32 or less: problems whose `Problem.wide` is true.
    promise
        What it promises about repeated calls, for `multirec backends`.
    decline
        Called with a problem that fits all of the above; a reason to refuse it, or None.
    note
        Called with a problem that the backend computes; how it would, in a few words, for `explain`.

    Raises
    ------
    ArgumentError
        A field is not of these kinds: the message names it, what it has, and what it may have.

    Example
    -------
    >>> info = BackendInfo(name="mine", summary="a loop", kernel="mine._kernel:kernel", family="numpy")
    >>> info.devices
    ('cpu',)
    >>> BackendInfo(name="mine", summary="a loop", kernel="mine:kernel", family="numpy", promise="exact")
    Traceback (most recent call last):
        ...
    multirec.errors.ArgumentError: BackendInfo of 'mine': promise='exact', but it is 'bitwise' or 'library'.
    """

    name: str
    summary: str
    kernel: str
    family: Target
    requires: tuple[str, ...] = ()
    without: Callable[[Family], bool] = _never
    install: str | None = None
    devices: tuple[str, ...] = ("cpu",)
    dtypes: tuple[str, ...] = REAL_DTYPES + COMPLEX_DTYPES
    kinds: tuple[Kind, ...] = ("static", "per_example", "time_varying")
    min_order: int = 0
    max_order: int | None = None
    wide: bool = False
    promise: Literal["bitwise", "library"] = "library"
    decline: Callable[[Problem], str | None] = _accept
    note: Callable[[Problem], str] = _silent

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        tuples = in_tuples(given)
        check_declaration(given | tuples)
        for name, value in tuples.items():
            object.__setattr__(self, name, value)

    def supports(self, problem: Problem) -> Support:
        """Say whether this backend computes `problem`; a refusal always has its reason."""
        reason = self._mismatch(problem) or self.decline(problem)
        if reason and not isinstance(reason, str):
            raise BackendBrokenError(
                f"backend {self.name!r}: decline returned {reason!r}; it returns a reason in words, or None."
            )
        return Support(False, reason) if reason else _YES

    def _mismatch(self, problem: Problem) -> str | None:
        device = problem.device_type
        if device not in self.devices:
            return f"device {device!r} (it supports {', '.join(self.devices)})"
        if problem.dtype not in self.dtypes:
            return f"dtype {problem.dtype} (it supports {', '.join(self.dtypes)})"
        if problem.y_dtype not in self.dtypes:
            return f"coefficients that make y {problem.y_dtype} (it supports {', '.join(self.dtypes)})"
        if problem.wide and not self.wide:
            return f"compute_dtype {problem.compute_dtype} for {problem.y_dtype} (it computes in y's own precision)"
        for name, taps in (("feedforward", problem.feedforward), ("feedback", problem.feedback)):
            if taps is not None and taps.kind not in self.kinds:
                return f"{taps.kind.replace('_', '-')} {name} (it supports {', '.join(self.kinds)})"
        low, high = self.min_order, self.max_order
        if problem.order < low or (high is not None and problem.order > high):
            span = f"{low}..{high}" if high is not None else f"{low} and more"
            return f"order {problem.order} (it supports {span})"
        return None
