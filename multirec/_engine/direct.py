"""The shortest call: a kernel that takes the caller's arrays as they are and gives the state as well."""

from __future__ import annotations

from typing import Any, TypeAlias

from .._core.arrays import name_of
from .._core.form import form_of
from .._core.state import State
from .._core.validate import Call
from ..backend import DirectKernel, DirectProblem, Gradients, Needs
from .launch import Arrays, Launcher
from .plan import Plan

Array: TypeAlias = Any

__all__ = ["launcher_for"]

_PLAIN = "torch", "torch.nn.parameter"
"""Where tensors and parameters are from; those of other modules may have no memory."""


def launcher_for(call: Call, plan: Plan, arrays: Arrays, judges: bool) -> Launcher:
    """Return what runs the calls of a signature: directly, where the kernel and the arrays allow it."""
    problem = _direct(call, plan, arrays)
    return (
        Launcher(call, plan, arrays, judges) if problem is None else DirectLauncher(call, plan, arrays, judges, problem)
    )


def _direct(call: Call, plan: Plan, arrays: Arrays) -> DirectProblem | None:
    problem, kernel = call.problem, plan.kernel
    if not isinstance(kernel, DirectKernel) or not plan.library == problem.family == "torch":
        return None
    if any(type(size) is not int for size in call.y_shape):
        # of what is traced
        return None
    b, a = problem.feedforward, problem.feedback
    dtypes = problem.dtype, b and b.dtype, a and a.dtype, problem.dtype, problem.state_dtype
    for array, dtype in zip(arrays, dtypes, strict=True):
        if array is not None and (type(array).__module__ not in _PLAIN or name_of(array.dtype) != dtype):
            return None
    enough = problem.length >= max(problem.order, problem.input_order, 1) and problem.batch and problem.channels
    form = form_of(call, tuple(None if array is None else tuple(array.shape) for array in arrays))
    if not enough or form is None:
        return None
    for own, full in zip(form.operands[3:], (form.inputs, form.outputs), strict=True):
        if own is not None and own != full:
            return None
    return kernel.direct(problem, form)


class DirectLauncher(Launcher):
    """Runs plain calls directly, and the others as every launcher does."""

    def __init__(self, call: Call, plan: Plan, arrays: Arrays, judges: bool, problem: DirectProblem) -> None:
        super().__init__(call, plan, arrays, judges)
        self._problem = problem
        # the gradient of a half state would have to be rounded
        self._rounds = call.problem.state_dtype != call.problem.y_dtype

    def __call__(self, arrays: Arrays, out: Array | None = None) -> tuple[Array, State]:
        if out is not None or _is_lazy(arrays):
            return super().__call__(arrays, out)
        y, inputs, outputs = self._problem.forward(*arrays)
        return y, State(inputs, outputs)

    def vjp(
        self,
        arrays: Arrays,
        y: Array | None,
        grad_y: Array | None,
        grad_inputs: Array | None,
        grad_outputs: Array | None,
        needs: Needs,
    ) -> Gradients:
        plain = grad_y is not None and grad_inputs is None and grad_outputs is None
        if not plain or (self._rounds and needs.inputs) or _is_lazy((*arrays, y, grad_y)):
            return super().vjp(arrays, y, grad_y, grad_inputs, grad_outputs, needs)
        return self._problem.vjp(arrays, y, grad_y, needs)


def _is_lazy(arrays: Arrays) -> bool:
    """Whether a tensor's values are not what its memory holds: torch conjugates and negates when it must."""
    for array in arrays:  # noqa: SIM110 - a generator would cost as much as what it asks
        if array is not None and (array.is_neg() or array.is_conj()):
            return True
    return False
