"""Recurrences, cascades and sequences as JAX primitives: forward and reverse derivatives, vmap and jit, to any order.

=========  ====================================================  =============================
primitive  computes                                              its derivative
=========  ====================================================  =============================
`run`      y of canonical operands, and its last samples         `push`
`push`     their derivatives along moves of operands: linear     itself; transposed: `pull`
`pull`     gradients of operands given those of both: linear     itself; transposed: `push`
=========  ====================================================  =============================

The last samples are in the state's type, which may be wider than y's. Second-order sections have three such primitives
as well, and so have several sequences in one row of time. What they compute is in `compute`, `cascades` and `marked`,
how JAX compiles that in `lowering`, the right column in `derivatives`, and `jax.vmap` in `batching`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

import jax
from jax.extend.core import Primitive

from .._core.validate import Choices
from .rows import whole

__all__ = ["CASCADE", "RECURRENCE", "SEQUENCES", "Form", "Operation", "pull_shape", "uniform", "unpack", "varying"]

Array: TypeAlias = Any


class Form(NamedTuple):
    """What is static about a call, besides shapes, dtypes and choices.

    Where arrays are, which operands the flat arguments of a primitive are, and which of all move or want a gradient.
    """

    device: str
    given: tuple[bool, ...]
    moved: tuple[bool, ...] = ()
    compose: Callable[..., Any] | None = None
    """Of a cascade: computes the same by recurrences, of (choices, x in its layout, taps, memory)."""
    states: int | None = None
    """Of sequences: how many states there are, if each sequence has one."""

    @property
    def size(self) -> int:
        return sum(self.given)


class Operation(NamedTuple):
    """The primitives of one function of operands, and which of these are coefficients."""

    run: Any
    push: Any
    pull: Any
    is_taps: tuple[bool, ...]
    keeps_y: bool
    """Whether push and pull are told y, after the operands."""

    def fixed(self, form: Form) -> int:
        """Return how many arguments of push and pull come before those that they are linear in."""
        return form.size + self.keeps_y

    def __call__(
        self,
        operands: Sequence[Array | None],
        device: str,
        choices: Choices,
        compose: Callable[..., Any] | None = None,
        count: int | None = None,
    ) -> list[Array]:
        """Return the results of canonical operands, differentiably."""
        form = Form(device, tuple(part is not None for part in operands), compose=compose, states=count)
        parts = uniform([whole(part) for part in operands if part is not None])
        results: list[Array] = self.run.bind(*parts, form=form, choices=choices)
        return results


def _operation(prefix: str, is_taps: tuple[bool, ...], *, keeps_y: bool) -> Operation:
    run, push, pull = (Primitive(f"{prefix}_{name}") for name in ("run", "push", "pull"))
    for primitive in (run, push, pull):
        primitive.multiple_results = True
    return Operation(run, push, pull, is_taps, keeps_y)


RECURRENCE = _operation("multirec", (False, True, True, False, False), keeps_y=True)
"""Of x, feedforward, feedback, inputs and outputs: y (B, C, T) and its last min(p, T) samples."""
CASCADE = _operation("multirec_cascade", (False, True, False), keeps_y=False)
"""Of x, taps and memory: y, the memory after the block and the ends, as `multirec.backend.CascadeResult` has them."""
SEQUENCES = _operation("multirec_sequences", (False, True, True, False, False, False), keeps_y=True)
"""Of the operands of a recurrence and numbers (B, T): y and the p outputs after the block of each state."""


def uniform(parts: list[Array]) -> list[Array]:
    """Return arrays that vary along the same axes of the mesh, inside `shard_map`."""
    axes = [varying(part) for part in parts]
    union = frozenset[str]().union(*axes)
    return [
        jax.lax.pcast(part, tuple(sorted(union - own)), to="varying") if union - own else part
        for part, own in zip(parts, axes, strict=True)
    ]


def varying(part: Array) -> frozenset[str]:
    """Return the axes of the mesh along which an array varies, inside `shard_map`."""
    kind = getattr(jax.typeof(part), "manual_axis_type", None)
    return getattr(kind, "varying", frozenset())


def unpack(parts: Iterable[Any], mask: Iterable[bool]) -> list[Any]:
    """Return all operands of flat arguments, with None for those that are not there."""
    rest = iter(parts)
    return [next(rest) if there else None for there in mask]


def pull_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    """Return what gradients are like, abstractly: as the operands that want one."""
    return [part.update(weak_type=False) for part in compress(unpack(parts[: form.size], form.given), form.moved)]
