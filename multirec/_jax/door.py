"""The JAX side of `recurrence`: a compiled function for each signature, of arrays and tracers.

Only shapes, dtypes and devices are looked at outside of the compiled function: nothing traced is read, and new
values compile nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._core.arrays import has_64_bit
from .._core.axes import in_computed_types, operands_in, signal_out, tails
from .._core.problem import Problem
from .._core.state import State, state_kinds
from .._core.validate import NAMES, Call, Choices
from .._engine.call import call_of, compute
from .._engine.plan import Plan, plan_for
from .._registry.registry import registry
from ..backend import Operands
from ..errors import ArgumentError, DeviceError, DtypeError, FamilyError, UnsupportedError
from . import batching, derivatives, lowering, pytrees  # noqa: F401
from .primitives import RECURRENCE, uniform
from .rows import whole

__all__ = ["check_64_bit", "check_devices", "check_out", "check_sizes", "recurrence", "zero_state"]

Array: TypeAlias = Any


def recurrence(arrays: tuple[Array | None, ...], choices: Choices, out: Array | None = None) -> tuple[Array, State]:
    """`multirec.recurrence` for JAX arrays and tracers: (x, feedforward, feedback, inputs, outputs)."""
    check_out(out)
    call = call_of(arrays, choices)
    check_64_bit(call)
    found = _bound(call, choices.backend)
    if isinstance(found, Plan):
        _check_concrete(arrays, found.info.name)
        check_devices(arrays)
        x: Any = arrays[0]
        placed: tuple[Array, State] = jax.device_put(compute(call, found, arrays), x.device)
        return placed
    try:
        return found(*arrays)
    except ValueError:
        check_devices(arrays)
        raise


def zero_state(arrays: tuple[Array | None, ...], choices: Choices) -> State:
    """`multirec.zero_state` for JAX arrays, tracers and structs: (x, feedforward, feedback, None, None)."""
    x: Any
    x, *others = arrays
    if isinstance(x, jax.ShapeDtypeStruct):
        like = jax.eval_shape(lambda x: zero_state((x, *others), choices), x)
        return State(*(jnp.zeros(part.shape, part.dtype) for part in like))
    call = call_of(arrays, choices)
    check_64_bit(call)
    problem = call.problem
    one_device = isinstance(getattr(x, "sharding", None), jax.sharding.SingleDeviceSharding)
    place = x.sharding if one_device and x.committed else None
    inputs, outputs = (jnp.zeros(shape, dtype, device=place) for shape, dtype in state_kinds(problem, call.batch_shape))
    given = [part for part in (x, *others) if part is not None]
    # inside of `shard_map` the type of a carry says along which axes it varies
    return State(uniform([inputs, x])[0], uniform([outputs, *given])[0])


def check_out(out: Array | None) -> None:
    """Raise if y is to be written somewhere."""
    if out is not None:
        raise ArgumentError("out is given, and x is an array of JAX, which are never written to. Leave out out.")


def check_64_bit(call: Call) -> None:
    """Raise unless JAX has the types that a call is computed in."""
    problem = call.problem
    if problem.compute_dtype == "float32" or has_64_bit():
        return
    dtype = problem.y_dtype
    if problem.wide:
        what, way_out = "compute_dtype is float64", "leave compute_dtype out"
    else:
        what = f"x or a coefficient makes y {dtype}"
        way_out = f"cast x to {'float32' if dtype == 'float64' else 'complex64'}"
    raise DtypeError(
        f"{what}, and JAX has no 64-bit types while jax_enable_x64 is off. "
        f"Call jax.config.update('jax_enable_x64', True) at the start, or {way_out}."
    )


@lru_cache(maxsize=1024)
def _bound(call: Call, backend: str) -> Plan | Callable[..., tuple[Array, State]]:
    """Return a compiled function of a call's arrays, or the plan of a backend that JAX's programs cannot hold."""
    problem = call.problem
    check_sizes(problem)
    plan = plan_for(problem, backend)
    if plan.info.family not in ("jax", "numpy"):
        return plan
    choices = Choices(problem.layout, problem.reverse, backend, problem.compute_dtype)

    def multirec(*arrays: Array | None) -> tuple[Array, State]:
        parts = operands_in(call, *in_computed_types(problem, Operands(*arrays)))
        operands = Operands(*(None if part is None else whole(part) for part in parts))
        y, last = RECURRENCE(operands, problem.device, choices)
        results = (y, *tails(problem, operands, last))
        y, *state = (signal_out(part, problem.layout, call.batch_shape) for part in results)
        return y, State(*state)

    compiled: Callable[..., tuple[Array, State]] = jax.jit(multirec)
    return compiled


# a backend of the same name may be another
registry.watchers.append(_bound.cache_clear)


def check_sizes(problem: Problem) -> None:
    """Raise if a size is not known."""
    symbols = [size for size in (problem.batch, problem.channels, problem.length) if not isinstance(size, int)]
    if symbols:
        raise UnsupportedError(
            f"the size {symbols[0]} is a symbol, as jax.export takes them, and a recurrence is compiled for sizes that "
            "are known. Fix it, or export it for each size."
        )


def check_devices(arrays: tuple[Array | None, ...], names: tuple[str, ...] = NAMES) -> None:
    """Raise if arrays were put on different devices."""
    put = [
        (name, array.devices())
        for name, array in zip(names, arrays, strict=True)
        if isinstance(array, jax.Array) and not isinstance(array, jax.core.Tracer) and array.committed
    ]
    for name, devices in put[1:]:
        first, others = put[0]
        if devices != others:
            one, other = (", ".join(sorted(map(str, some))) for some in (others, devices))
            raise DeviceError(f"{first} is on {one} and {name} is on {other}. Move one of them with jax.device_put.")


def _check_concrete(arrays: tuple[Array | None, ...], backend: str) -> None:
    """Raise unless a backend of another library can look at the memory of these arrays."""
    for name, array in zip(NAMES, arrays, strict=True):
        if isinstance(array, jax.core.Tracer):
            raise FamilyError(
                f"{name} is traced by JAX (jit, grad, vmap, …), and backend {backend!r} cannot be traced. Ask for "
                "backend='jax', or call multirec outside of the transformation."
            )
        if isinstance(array, jax.Array) and len(array.devices()) > 1:
            raise FamilyError(
                f"{name} is sharded over {len(array.devices())} devices, and backend {backend!r} computes on one. Ask "
                "for backend='jax', or gather it on one first."
            )
