"""The recurrence as JAX primitives: forward and reverse derivatives, vmap and jit, to any order.

=========  ====================================================  =============================
primitive  computes                                              its derivative
=========  ====================================================  =============================
`run_p`    y of canonical operands, and its last samples         `push_p`
`push_p`   their derivatives along moves of operands: linear     itself; transposed: `pull_p`
`pull_p`   gradients of operands given those of both: linear     itself; transposed: `push_p`
=========  ====================================================  =============================

The last samples are in the state's type, which may be wider than y's. What they compute is in `compute`, how JAX
compiles that in `lowering`, the right column in `derivatives`, and `jax.vmap` in `batching`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
from jax.extend.core import Primitive

from .._core.validate import Choices
from ..backend import Operands

__all__ = ["Form", "apply", "pull_p", "push_p", "run_p", "uniform", "unpack"]

Array: TypeAlias = Any


class Form(NamedTuple):
    """What is static about a call, besides shapes, dtypes and choices.

    Where arrays are, which operands the flat arguments of a primitive are, and which move or want a gradient.
    """

    device: str
    given: tuple[bool, ...]
    moved: tuple[bool, ...] = (False,) * 5

    @property
    def size(self) -> int:
        return sum(self.given)


def _primitive(name: str) -> Any:
    primitive: Any = Primitive(f"multirec_{name}")
    primitive.multiple_results = True
    return primitive


run_p, push_p, pull_p = _primitive("run"), _primitive("push"), _primitive("pull")


def apply(operands: Operands, device: str, choices: Choices) -> tuple[Array, Array]:
    """Return y (B, C, T) of canonical operands and its last min(p, T) samples, differentiably."""
    form = Form(device, tuple(part is not None for part in operands))
    y, last = run_p.bind(*uniform([part for part in operands if part is not None]), form=form, choices=choices)
    return y, last


def uniform(parts: list[Array]) -> list[Array]:
    """Return arrays that vary along the same axes of the mesh, inside `shard_map`."""
    varying = [_axes(part) for part in parts]
    union = frozenset[str]().union(*varying)
    return [
        jax.lax.pcast(part, tuple(sorted(union - own)), to="varying") if union - own else part
        for part, own in zip(parts, varying, strict=True)
    ]


def _axes(part: Array) -> frozenset[str]:
    kind = getattr(jax.typeof(part), "manual_axis_type", None)
    return getattr(kind, "varying", frozenset())


def unpack(parts: Sequence[Any], mask: tuple[bool, ...]) -> Operands:
    """Return flat arguments as operands, with None for those that are not there."""
    rest = iter(parts)
    return Operands._make([next(rest) if there else None for there in mask])
