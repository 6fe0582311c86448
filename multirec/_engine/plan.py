"""A problem bound to a backend: takes the caller's arrays in, runs, and gives results back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from .._calculus.derived import add_last, derived_vjp
from .._core.axes import cast_to, ends, split_tail_gradient
from .._core.problem import Family, Problem, Taps, Target
from .._memory.allocate import empty
from .._memory.hand_over import as_layout_contiguous, device, hand_over, library_of, placed, restored, unlocked
from .._registry.choice import chosen
from .._registry.registry import registry
from ..backend import Allocate, BackendInfo, ForwardKernel, FusedKernel, Gradients, InPlaceKernel, Needs, Operands
from ..errors import BackendBrokenError
from .table import Table

Array: TypeAlias = Any

_NOTHING = nullcontext()


class Plan:
    """Computes one `Problem` with one backend.

    `give` and `take` lead from the caller's arrays to `library` and back; operands and results of `forward` and `vjp`
    are canonical arrays of that library, and `laid_out` makes their memory contiguous in the layout. bfloat16 in NumPy
    is its bits there. `allocate` is what kernels ask for memory; another may be given to a call.
    """

    __slots__ = ("_is_fused", "_shares", "_target", "info", "kernel", "laid_out", "library", "problem", "state_in_y")

    def __init__(self, problem: Problem, info: BackendInfo, kernel: ForwardKernel) -> None:
        self.problem = problem
        self.info = info
        self.library = library_of(problem, info.family)
        # what works on raw CUDA memory takes arrays as they are, once they are ready for it
        self._target: Target = "cuda" if info.family == "cuda" else self.library
        self.kernel, self._shares = kernel, info.family in (self.library, "cuda")
        self._is_fused = isinstance(kernel, FusedKernel)
        self.state_in_y = problem.state_dtype == problem.y_dtype
        self.laid_out: Callable[[Array], Array] = partial(
            as_layout_contiguous, layout=problem.layout, family=self.library
        )

    def takes_x(self) -> bool:
        """Whether the kernel may be given the memory of x for y."""
        return isinstance(self.kernel, InPlaceKernel) and self.kernel.in_place(self.problem)

    def on_device(self) -> AbstractContextManager[Any]:
        """Make the device current where `library` is CuPy, which allocates there, and copies to it."""
        return device(self.problem) if self.library == "cupy" else _NOTHING

    def give(self, array: Array | None) -> Array:
        """Return a caller's signal, of any axes, in `library`."""
        return None if array is None else hand_over(array, self.problem.family, self._target)

    def give_taps(self, array: Array | None, taps: Taps | None) -> Array:
        """Return a caller's coefficients, of any axes, in `library`: rounded once, to the kernel's precision."""
        if array is None or taps is None:
            return None
        own: Family = "numpy" if isinstance(array, np.ndarray) else self.problem.family
        if self.library == "numpy":  # rounded by NumPy: torch's threads are gone in a forked child
            return cast_to(hand_over(array, own, "numpy"), taps.dtype)
        array = cast_to(array, taps.dtype)
        if own != self.problem.family:
            array = placed(array, self.problem)
        return hand_over(array, self.problem.family, self._target)

    def give_outputs(self, array: Array | None) -> Array:
        """Return a caller's past outputs, of any axes, in `library` and in the precision they are computed in."""
        return None if array is None else cast_to(self.give(array), self.problem.state_dtype)

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
        y, last = self.run(operands, allocate or self.allocate)
        y = self.laid_out(y)
        return y, ends(y, self.problem.order, self.problem.reverse) if last is None else last

    def run(self, operands: Operands, allocate: Allocate) -> tuple[Array, Array | None]:
        """Return y as the kernel gives it, and its last samples unless y has them in the state's data type."""
        found = self.kernel.forward(self.problem, self._all_to_kernel(operands), allocate)
        y, last = found if isinstance(found, tuple) else (found, None)
        if not self._shares:
            y, last = self._from_kernel(y), self._from_kernel(last)
        if self.state_in_y:
            return y, None
        if last is None:
            problem = self.problem
            raise BackendBrokenError(
                f"backend {self.info.name!r} gave y alone, and for y of {problem.y_dtype} the last outputs in "
                f"{problem.state_dtype} as well: multirec.backend.ForwardKernel says how. Report it."
            )
        return y, last

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
        if grad_inputs is None and grad_outputs is None:
            return self._vjp(operands, y, grad_y, None, needs, allocate or self.allocate)
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
        if not self._shares:
            operands = self._all_to_kernel(operands)
            y, grad_y, grad_last = map(self._to_kernel, (y, grad_y, grad_last))
        kernel: Any = self.kernel
        adjoint = kernel.vjp if self._is_fused else partial(derived_vjp, kernel)
        found = adjoint(self.problem, operands, y, grad_y, grad_last, needs, allocate)
        if not self._shares:
            found = Gradients(*map(self._from_kernel, found))
        return found if found.x is None else found._replace(x=self.laid_out(found.x))

    def _all_to_kernel(self, operands: Operands) -> Operands:
        return operands if self._shares else Operands(*map(self._to_kernel, operands))

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


_plans: Table[Plan] = Table()


def plan_for(problem: Problem, backend: str) -> Plan:
    """Return the plan of an explicit or automatic choice; or raise, saying who could compute the problem."""

    def plan() -> Plan:
        info = chosen(problem, backend)
        return Plan(problem, info, registry.kernel(info))

    key = problem, backend
    return _plans.get(key) or _plans.find(key, plan)
