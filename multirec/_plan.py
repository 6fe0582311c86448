"""A problem bound to a backend: rounds coefficients, hands arrays over, runs, and brings the results back."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from . import _formula
from ._arrays import Bridge, as_layout_contiguous
from ._canonical import namespace, split_tail_gradient
from ._problem import HALF_DTYPES, Problem, Spec, Taps, canonical_problem
from .backend import Allocate, BackendInfo, ForwardKernel, FusedKernel, Gradients, Needs, Operands

Array: TypeAlias = Any


class Plan:
    """Computes one `Problem` with one backend. Arrays are canonical, of the caller's library, in and out."""

    __slots__ = ("_bridge", "_kernel", "info", "problem")

    def __init__(self, problem: Problem, info: BackendInfo, kernel: ForwardKernel) -> None:
        self.problem = problem
        self.info = info
        self._kernel = kernel
        self._bridge = Bridge(problem, info.family)

    def forward(self, operands: Operands) -> Array:
        """Return y (B, C, T), contiguous in the layout."""
        problem, bridge = self.problem, self._bridge
        y = self._kernel.forward(problem, self._give(operands), bridge.allocate)
        return as_layout_contiguous(bridge.take(y, problem.y_dtype), problem.layout, problem.family)

    def vjp(
        self,
        operands: Operands,
        y: Array,
        grad_y: Array,
        grad_inputs: Array | None,
        grad_outputs: Array | None,
        needs: Needs,
    ) -> Gradients:
        """Return the gradients of canonical operands, given those of y and of the two tails (or None)."""
        problem = self.problem
        past_x, block_x = split_tail_gradient(grad_inputs, problem.length, problem.reverse)
        past_y, block_y = split_tail_gradient(grad_outputs, problem.length, problem.reverse)
        found = self._vjp(operands, y, grad_y, block_y, needs)
        for whole, part in ((found.x, block_x), (found.inputs, past_x), (found.outputs, past_y)):
            if whole is not None and part is not None:
                count = part.shape[-1]
                place = whole[..., :count] if problem.reverse else whole[..., whole.shape[-1] - count :]
                place += part
        return found

    def _vjp(self, operands: Operands, y: Array, grad_y: Array, grad_last: Array | None, needs: Needs) -> Gradients:
        problem, bridge = self.problem, self._bridge
        given = self._give(operands)
        arrays = (bridge.give(y), bridge.give(grad_y), bridge.give(grad_last))
        if isinstance(self._kernel, FusedKernel):
            found = self._kernel.vjp(problem, given, *arrays, needs, bridge.allocate)
        else:
            found = derived_vjp(self._kernel, problem, given, *arrays, needs, bridge.allocate)
        half = problem.dtype == "bfloat16"
        grad_x = None
        if found.x is not None:
            grad_x = as_layout_contiguous(bridge.take(found.x, problem.dtype), problem.layout, problem.family)
        return Gradients(
            grad_x,
            bridge.take(found.feedforward, ""),
            bridge.take(found.feedback, ""),
            bridge.take(found.inputs, problem.dtype if half and _is_bits(found.inputs) else ""),
            bridge.take(found.outputs, problem.dtype if half and _is_bits(found.outputs) else ""),
        )

    def _give(self, operands: Operands) -> Operands:
        problem, bridge = self.problem, self._bridge
        x, feedforward, feedback, inputs, outputs = operands
        return Operands(
            bridge.give(x),
            self._give_taps(feedforward, problem.feedforward),
            self._give_taps(feedback, problem.feedback),
            bridge.give(inputs),
            bridge.give(outputs),
        )

    def _give_taps(self, array: Array | None, taps: Taps | None) -> Array | None:
        bridge = self._bridge
        if bridge.target == "numpy":  # NumPy's rounding needs no threads: torch's are gone in a forked child
            return _rounded(_wide(bridge.give(array), "bfloat16"), taps)
        return bridge.give(_rounded(array, taps))


def _is_bits(array: Array | None) -> bool:
    return array is not None and str(array.dtype) == "uint16"


def _rounded(array: Array | None, taps: Taps | None) -> Array | None:
    """Round coefficients once, to the precision that the kernel computes in."""
    if array is None or taps is None:
        return None
    return cast_to(array, taps.dtype)


def cast_to(array: Array, dtype: str) -> Array:
    """Return `array` in `dtype`, itself where it has that dtype already."""
    if hasattr(array, "astype"):
        return array.astype(dtype, copy=False)
    return array.to(getattr(namespace(array), dtype))


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
    """Return the gradients of a kernel that gives only forward, by running it over reversed time.

    Half types are computed in float32 throughout.
    """
    if problem.dtype in HALF_DTYPES:
        operands = Operands(*(_wide(array, problem.dtype) for array in operands))
        y, grad_y, grad_last = (_wide(array, problem.dtype) for array in (y, grad_y, grad_last))
    if problem.feedforward is None and not problem.order:
        # x's gradient is y's, in memory of its own
        grad_y = grad_y + 0
    if grad_last is not None and grad_last.shape[-1]:
        grad_y = _add_last(grad_y, grad_last, problem.reverse)

    def run(adjoint: Operands, reverse: bool) -> Array:
        parts = (adjoint.x, adjoint.feedforward, adjoint.feedback)
        specs = [None if part is None else _spec(part, problem) for part in parts]
        of_adjoint = canonical_problem(cast(Spec, specs[0]), specs[1], specs[2], problem.layout, reverse)
        return kernel.forward(of_adjoint, adjoint, allocate)

    found = _formula.gradients(run, operands, y, grad_y, needs, problem.reverse)
    if problem.dtype in HALF_DTYPES and found.x is not None:
        found = found._replace(x=_narrow(found.x, problem.dtype))
    return found


def _spec(array: Array, problem: Problem) -> Spec:
    dtype = str(array.dtype).removeprefix("torch.")
    return Spec(tuple(array.shape), dtype, problem.family, problem.device)


def _wide(array: Array | None, dtype: str) -> Array | None:
    if array is None:
        return None
    if str(array.dtype) == "uint16":
        numpy = namespace(array)
        return (array.astype(numpy.uint32) << 16).view(numpy.float32)
    return cast_to(array, "float32") if str(array.dtype).endswith(dtype) else array


def _narrow(array: Array, dtype: str) -> Array:
    if dtype == "bfloat16" and hasattr(array, "astype") and namespace(array).__name__ == "numpy":
        from .reference import narrow

        return narrow(array, dtype)
    return cast_to(array, dtype)


def _add_last(grad_y: Array, grad_last: Array, reverse: bool) -> Array:
    count = grad_last.shape[-1]
    total = grad_y + 0
    if reverse:
        total[..., :count] += grad_last
    else:
        total[..., total.shape[-1] - count :] += grad_last
    return total
