"""The JAX side of second-order sections: a compiled function for each signature, where a program can call a kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._core.axes import cast_to, signal_in, signal_out
from .._core.validate import Call, Choices
from .._engine.plan import plan_for
from .._registry.registry import registry
from .cascades import fuses
from .door import check_64_bit, check_devices, check_out
from .primitives import CASCADE

__all__ = ["compiled", "has_one_pass", "sections"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array, Array, Array | None]
Compose: TypeAlias = Callable[..., tuple[Array, Array, Array]]


def sections(
    arrays: Arrays, out: Array | None, call: Call, choices: Choices, compose: Compose
) -> tuple[Array, Array, Array]:
    """Return y, the memory and the ends of (x, taps, memory).

    `call` is that of one section, and `compose` computes all by recurrences, of the choices and the arrays. A program
    is compiled for each `compose`.
    """
    check_out(out)
    check_64_bit(call)
    if not has_one_pass(arrays, call, choices):
        return compose(choices, *arrays)
    try:
        return _bound(call, arrays[1].shape[-2], choices, compose)(*arrays)
    except ValueError:
        check_devices(arrays, ("x", "taps", "memory"))
        raise


def has_one_pass(arrays: Arrays, call: Call, choices: Choices) -> bool:
    """Whether a program calls a kernel for all sections at once."""
    problem = call.problem
    # sizes that are symbols have no plan
    sizes = problem.batch, problem.channels, problem.length
    return all(isinstance(size, int) for size in sizes) and fuses(
        plan_for(problem, choices.backend), arrays[1].shape[-2]
    )


@lru_cache(maxsize=1024)
def compiled(function: Callable[..., Any], *static: Any) -> Callable[..., Any]:
    """Return one program of a function whose first arguments are static."""
    program: Callable[..., Any] = jax.jit(partial(function, *static))
    return program


@lru_cache(maxsize=1024)
def _bound(call: Call, count: int, choices: Choices, compose: Compose) -> Callable[..., tuple[Array, Array, Array]]:
    problem, layout, batch_shape = call.problem, choices.layout, call.batch_shape
    choices = choices._replace(compute_dtype=problem.compute_dtype)
    of_taps = problem.feedforward
    assert of_taps is not None

    def taps_in(taps: Array) -> Array:
        taps = cast_to(taps, of_taps.dtype)
        if of_taps.batch != 1:
            taps = jnp.broadcast_to(taps, (*batch_shape, *taps.shape[-3:]))
        return taps.reshape(of_taps.batch, of_taps.channels, count, 5)

    def multirec_cascade(x: Array, taps: Array, memory: Array | None) -> tuple[Array, Array, Array]:
        few = (problem.channels, count, 2)
        if memory is not None:
            memory = cast_to(memory, problem.state_dtype).reshape(problem.batch, *few)
        operands = signal_in(x, layout, problem.batch), taps_in(taps), memory
        y, *past = CASCADE(operands, problem.device, choices, compose)
        after, ends = (part.reshape(*batch_shape, *few) for part in past)
        return signal_out(y, layout, batch_shape), after, ends

    compiled: Callable[..., tuple[Array, Array, Array]] = jax.jit(multirec_cascade)
    return compiled


# a backend of the same name may be another
registry.watchers.append(_bound.cache_clear)
