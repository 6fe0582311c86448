"""What a call to the host computes: its words, which are kept with compiled programs, and what they become here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

from .._core.cascade import cascade_of
from .._core.problem import Spec, plan_problem
from .._core.validate import Choices
from .._engine.plan import Plan, plan_for
from .._registry.registry import registry
from ..backend import Allocate, CascadeKernel, CascadeNeeds, CascadeOperands, Needs, Operands, SequenceKernel
from ..errors import UnsupportedError
from .buffers import Kind, View
from .primitives import unpack

__all__ = ["Task", "job", "plan_of_sections"]

Array: TypeAlias = Any
Mask: TypeAlias = tuple[bool, ...]
Compute: TypeAlias = Callable[[list[Array], Allocate], Sequence[Array]]


class Task(NamedTuple):
    """What a call computes: the results of operands, or the gradients of those that `wanted` says.

    `given` says which operands there are, of the five of a recurrence, the six of sequences or the three of a cascade,
    and `kinds` what they are. Gradients need those of all results as well, and but for a cascade y before them.
    `states` is how many states there are where each sequence has one.
    """

    choices: Choices
    given: Mask
    wanted: Mask | None
    kinds: tuple[Kind, ...]
    results: tuple[Kind, ...]
    states: int | None


class Job(NamedTuple):
    """A task, ready to compute."""

    plan: Plan
    compute: Compute
    kinds: list[View]
    results: list[View]


@lru_cache(maxsize=1024)
def job(text: bytes) -> Job:
    """Return the job of a task's words."""
    words, given, wanted, *lists, count = json.loads(text)
    choices = Choices(*words)
    kinds, results = (tuple(Kind(tuple(shape), dtype) for shape, dtype in some) for some in lists)
    length = kinds[0].shape[2]
    specs = unpack((Spec(*kind, "numpy", "cpu") for kind in kinds), given)
    return Job(
        *_OF_SIZE[len(given)](choices, given, wanted, specs, count),
        [View(kind, choices.layout, length, written=False) for kind in kinds],
        [View(kind, choices.layout, length, written=True) for kind in results],
    )


# a backend of the same name may be another
registry.watchers.append(job.cache_clear)


def plan_of_sections(x: Spec, taps: Spec, choices: Choices) -> Plan:
    """Return the plan of one section of canonical x and taps (B|1, C|1, S, 5)."""
    layout, reverse, backend, compute_dtype = choices
    b, a = (taps._replace(shape=(*taps.shape[:2], 1, count)) for count in (3, 2))
    return plan_for(plan_problem(x, b, a, layout, reverse, compute_dtype), backend)


def _recurrence(
    choices: Choices, given: Mask, wanted: Mask | None, specs: list[Any], count: None
) -> tuple[Plan, Compute]:
    layout, reverse, backend, compute_dtype = choices
    plan = plan_for(plan_problem(*specs[:3], layout, reverse, compute_dtype), backend)

    def forward(parts: list[Array], allocate: Allocate) -> Sequence[Array]:
        return plan.forward(Operands._make(unpack(parts, given)), allocate)

    if wanted is None:
        return plan, forward
    needs = Needs(*wanted)

    def backward(parts: list[Array], allocate: Allocate) -> Sequence[Array]:
        *operands, y, grad_y, grad_last = parts
        given_operands = Operands._make(unpack(operands, given))
        return list(compress(plan.vjp(given_operands, y, grad_y, None, grad_last, needs, allocate), needs))

    return plan, backward


def _sequences(
    choices: Choices, given: Mask, wanted: Mask | None, specs: list[Any], count: int | None
) -> tuple[Plan, Compute]:
    layout, reverse, backend, compute_dtype = choices
    plan = plan_for(plan_problem(*specs[:3], layout, reverse, compute_dtype), backend)
    problem, kernel = plan.problem, plan.kernel
    if not isinstance(kernel, SequenceKernel):
        raise _changed(backend, "computes sequences")

    def forward(parts: list[Array], allocate: Allocate) -> Sequence[Array]:
        *operands, numbers = unpack(parts, given)
        return kernel.forward_sequences(problem, Operands(*operands), numbers, count, allocate)

    if wanted is None:
        return plan, forward
    needs = Needs(*wanted[:-1])

    def backward(parts: list[Array], allocate: Allocate) -> Sequence[Array]:
        *rest, y, grad_y, grad_last = parts
        *operands, numbers = unpack(rest, given)
        found = kernel.vjp_sequences(
            problem, Operands(*operands), numbers, count, y, grad_y, grad_last, needs, allocate
        )
        return list(compress(found, needs))

    return plan, backward


def _cascade(choices: Choices, given: Mask, wanted: Mask | None, specs: list[Any], count: None) -> tuple[Plan, Compute]:
    x, taps, _ = specs
    plan = plan_of_sections(x, taps, choices)
    cascade, kernel = cascade_of(plan.problem, taps.shape[2]), plan.kernel
    if not isinstance(kernel, CascadeKernel):
        raise _changed(choices.backend, "runs sections in one pass")

    def forward(parts: list[Array], allocate: Allocate) -> Sequence[Array]:
        return kernel.cascade(cascade, CascadeOperands(*unpack(parts, given)), allocate)

    if wanted is None:
        return plan, forward
    needs = CascadeNeeds(*wanted)

    def backward(parts: list[Array], allocate: Allocate) -> Sequence[Array]:
        *operands, grad_y, grad_memory, grad_ends = parts
        given_operands = CascadeOperands(*unpack(operands, given))
        found = kernel.cascade_vjp(cascade, given_operands, grad_y, grad_memory, grad_ends, needs, allocate)
        return list(compress(found, needs))

    return plan, backward


def _changed(backend: str, does: str) -> UnsupportedError:
    return UnsupportedError(
        f"this program was compiled for a backend {backend!r} that {does}, and the one of that name does not. Compile "
        "the program again: jax.clear_caches() forgets it."
    )


_OF_SIZE: dict[int, Callable[..., tuple[Plan, Compute]]] = {3: _cascade, 5: _recurrence, 6: _sequences}
