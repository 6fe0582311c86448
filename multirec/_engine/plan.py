"""A problem bound to a backend: takes the caller's arrays in, runs, and gives results back."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from .._calculus.derived import add_last, derived_vjp
from .._core.arrays import name_of
from .._core.axes import cast_to, ends, split_tail_gradient
from .._core.problem import Family, Problem, Spec, Taps
from .._core.validate import Call, Choices, build_call
from .._machine.bfloat16 import from_bfloat16
from .._memory.allocate import empty
from .._memory.hand_over import as_layout_contiguous, device, hand_over, library_of, placed, restored, unlocked
from .._registry.choice import chosen
from .._registry.registry import registry
from ..backend import Allocate, BackendInfo, ForwardKernel, FusedKernel, Gradients, Needs, Operands
from ..errors import BackendBrokenError

Array: TypeAlias = Any

_NOTHING = nullcontext()


class Plan:
    """Computes one `Problem` with one backend.

    `give` and `take` lead from the caller's arrays to `library` and back; operands and results of `forward` and `vjp`
    are canonical arrays of that library. bfloat16 in NumPy is its bits there. `allocate` is what kernels ask for
    memory; another may be given to a call.
    """

    __slots__ = ("_kernel", "_state_dtype", "info", "library", "problem")

    def __init__(self, problem: Problem, info: BackendInfo, kernel: ForwardKernel) -> None:
        self.problem = problem
        self.info = info
        self.library = library_of(problem, info.family)
        self._kernel, self._state_dtype = kernel, problem.state_dtype

    def on_device(self) -> AbstractContextManager[Any]:
        """Make the device current where `library` is CuPy, which allocates there, and copies to it."""
        return device(self.problem) if self.library == "cupy" else _NOTHING

    def give(self, array: Array | None) -> Array:
        """Return a caller's signal, of any axes, in `library`."""
        return None if array is None else hand_over(array, self.problem.family, self.library)

    def give_taps(self, array: Array | None, taps: Taps | None) -> Array:
        """Return a caller's coefficients, of any axes, in `library`: rounded once, to the kernel's precision."""
        if array is None or taps is None:
            return None
        own: Family = "numpy" if isinstance(array, np.ndarray) else self.problem.family
        if self.library == "numpy":  # rounded by NumPy: torch's threads are gone in a forked child
            return _rounded(hand_over(array, own, "numpy"), taps.dtype)
        array = cast_to(array, taps.dtype)
        if own != self.problem.family:
            array = placed(array, self.problem)
        return hand_over(array, self.problem.family, self.library)

    def give_outputs(self, array: Array | None) -> Array:
        """Return a caller's past outputs, of any axes, in `library` and in the precision they are computed in."""
        return None if array is None else _rounded(self.give(array), self._state_dtype)

    def give_all(self, operands: Operands) -> Operands:
        """Return a caller's arrays, of any axes, in `library`."""
        x, feedforward, feedback, inputs, outputs = operands
        problem = self.problem
        return Operands(
            self.give(x),
            self.give_taps(feedforward, problem.feedforward),
            self.give_taps(feedback, problem.feedback),
            self.give(inputs),
            self.give_outputs(outputs),
        )

    def take(self, array: Array | None) -> Array:
        """Return a result in the caller's library."""
        if array is None:
            return None
        family = self.problem.family
        return restored(array) if family == "numpy" else hand_over(array, self.library, family)

    def forward(self, operands: Operands, allocate: Allocate | None = None) -> tuple[Array, Array]:
        """Return y (B, C, T), contiguous in the layout, and its last min(p, T) samples in the state's data type."""
        problem = self.problem
        found = self._kernel.forward(problem, self._all_to_kernel(operands), allocate or self.allocate)
        y, last = found if isinstance(found, tuple) else (found, None)
        y = as_layout_contiguous(self._from_kernel(y), problem.layout, self.library)
        if self._state_dtype == problem.y_dtype:
            return y, ends(y, problem.order, problem.reverse)
        if last is None:
            raise BackendBrokenError(
                f"backend {self.info.name!r} gave y alone, and for y of {problem.y_dtype} the last outputs in "
                f"{self._state_dtype} as well: multirec.backend.ForwardKernel says how. Report it."
            )
        return y, self._from_kernel(last)

    def vjp(
        self,
        operands: Operands,
        y: Array,
        grad_y: Array,
        grad_inputs: Array | None,
        grad_outputs: Array | None,
        needs: Needs,
        allocate: Allocate | None = None,
    ) -> Gradients:
        """Return the gradients of operands, given those of y and of the two tails (or None)."""
        problem = self.problem
        past_x, block_x = split_tail_gradient(grad_inputs, problem.length, problem.reverse)
        past_y, block_y = split_tail_gradient(grad_outputs, problem.length, problem.reverse)
        found = self._vjp(operands, y, grad_y, block_y, needs, allocate or self.allocate)
        for whole, part in ((found.x, block_x), (found.inputs, past_x), (found.outputs, past_y)):
            if whole is not None and part is not None:
                add_last(whole, part, problem.reverse)
        return found

    def _vjp(
        self, operands: Operands, y: Array, grad_y: Array, grad_last: Array | None, needs: Needs, allocate: Allocate
    ) -> Gradients:
        problem = self.problem
        given = self._all_to_kernel(operands)
        arrays = (self._to_kernel(y), self._to_kernel(grad_y), self._to_kernel(grad_last))
        if isinstance(self._kernel, FusedKernel):
            found = self._kernel.vjp(problem, given, *arrays, needs, allocate)
        else:
            found = derived_vjp(self._kernel, problem, given, *arrays, needs, allocate)
        found = Gradients(*map(self._from_kernel, found))
        if found.x is None:
            return found
        return found._replace(x=as_layout_contiguous(found.x, problem.layout, self.library))

    def _all_to_kernel(self, operands: Operands) -> Operands:
        return operands if self.library == self.info.family else Operands(*map(self._to_kernel, operands))

    def _to_kernel(self, array: Array | None) -> Array:
        library, target = self.library, self.info.family
        return array if library == target or array is None else hand_over(array, library, target)

    def _from_kernel(self, array: Array | None) -> Array:
        library, target = self.library, self.info.family
        if library == target or array is None:
            return array
        array = hand_over(array, target, library)
        # JAX calls its arrays read-only, but nobody else has this one
        return unlocked(array) if library == "numpy" else array

    def allocate(self, channels: int, dtype: str) -> Array:
        """Return memory for a signal of so many channels, (B, channels, T), in the backend's library."""
        return empty(self.problem, channels, dtype, self.info.family)


@lru_cache(maxsize=1024)
def plan_for(problem: Problem, backend: str) -> Plan:
    """Return the plan of an explicit or automatic choice; or raise, saying who could compute the problem."""
    info = chosen(problem, backend)
    return Plan(problem, info, registry.kernel(info))


@lru_cache(maxsize=1024)
def bind(
    x: Spec,
    feedforward: Spec | None,
    feedback: Spec | None,
    inputs: Spec | None,
    outputs: Spec | None,
    choices: Choices,
) -> tuple[Call, Plan]:
    """Validate a call and plan it: all that the hot path looks up, by metadata alone."""
    call = build_call(x, feedforward, feedback, inputs, outputs, choices)
    return call, plan_for(call.problem, choices.backend)


def forget_plans() -> None:
    """Forget all plans, since the set of backends has changed."""
    plan_for.cache_clear()
    bind.cache_clear()


registry.watchers.append(forget_plans)


def _rounded(array: Array, dtype: str) -> Array:
    """Return an array in `dtype`, from bits where it is NumPy's bfloat16."""
    if name_of(array.dtype) == dtype:
        return array
    is_bits = isinstance(array, np.ndarray) and array.dtype.kind == "u"
    return cast_to(from_bfloat16(array) if is_bits else array, dtype)
