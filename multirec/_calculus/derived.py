"""The gradient of a kernel that gives only forward: the kernel itself, run over reversed time."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from .._core.arrays import name_of
from .._core.axes import cast_to
from .._core.problem import Problem, Spec, canonical_problem, in_precision
from .._machine.bfloat16 import from_bfloat16, to_bfloat16
from ..backend import Allocate, ForwardKernel, Gradients, Needs, Operands
from . import formula

Array: TypeAlias = Any


def derived_vjp(
    kernel: ForwardKernel,
    problem: Problem,
    operands: Operands,
    y: Array,
    grad_y: Array,
    grad_last: Array | None,
    needs: Needs,
    allocate: Allocate,
) -> Gradients:
    """Return what `FusedKernel.vjp` would, with every array in the precision that is computed in."""
    if problem.state_dtype != problem.y_dtype:

        def wide(array: Array | None) -> Array:
            return None if array is None else cast_to(array, in_precision(name_of(array.dtype), problem.compute_dtype))

        x, feedforward, feedback, inputs, outputs = operands
        # what is not read stays as it is
        x = wide(x) if needs.feedforward else x
        y = wide(y) if needs.feedback else y
        operands = Operands(x, feedforward, feedback, wide(inputs), wide(outputs))
        grad_y, grad_last = wide(grad_y), wide(grad_last)
    if problem.feedforward is None and not problem.order:
        # x's gradient is y's, in memory of its own
        grad_y = grad_y + 0
    if grad_last is not None and grad_last.shape[-1]:
        grad_y = grad_y + 0
        add_last(grad_y, grad_last, problem.reverse)

    def run(adjoint: Operands, reverse: bool) -> Array:
        specs = [None if part is None else _spec(part, problem) for part in adjoint[:3]]
        of_adjoint = canonical_problem(cast(Spec, specs[0]), specs[1], specs[2], problem.layout, reverse)
        return kernel.forward(of_adjoint, adjoint, allocate)

    found = formula.gradients(run, operands, y, grad_y, needs, problem.reverse)
    return found if found.x is None else found._replace(x=_narrow(found.x, problem.dtype))


def add_last(whole: Array, part: Array, reverse: bool) -> None:
    """Add `part` in place to those samples of `whole` that come last in the running order."""
    count = part.shape[-1]
    place = whole[..., :count] if reverse else whole[..., whole.shape[-1] - count :]
    if _is_bits(whole):
        place[...] = to_bfloat16(from_bfloat16(place) + cast_to(part, "float32"))
    else:
        place += from_bfloat16(part) if _is_bits(part) else part


def _is_bits(array: Array) -> bool:
    return name_of(array.dtype) == "uint16"


def _spec(array: Array, problem: Problem) -> Spec:
    return Spec(tuple(array.shape), name_of(array.dtype), problem.family, problem.device)


def _narrow(array: Array, dtype: str) -> Array:
    is_numpy = hasattr(array, "__array_interface__")
    return to_bfloat16(array) if dtype == "bfloat16" and is_numpy else cast_to(array, dtype)
