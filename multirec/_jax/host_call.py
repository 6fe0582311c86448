"""NumPy backends inside programs that JAX compiles for a CPU: XLA calls them as it calls LAPACK, on its own buffers.

The call's one attribute says what to compute, in words that hold in another process too: compiled programs are kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from time import sleep
from traceback import clear_frames
from typing import Any, TypeAlias
from weakref import ref

import jax
import jax.numpy as jnp
import numpy as np

from .._core.arrays import severed
from .._core.validate import Choices
from .._engine.plan import Plan
from .._machine.address import address
from .._machine.bfloat16 import to_bfloat16
from .._machine.libc import want_huge_pages
from . import xla_frame as xla
from .buffers import Kind, axes_in_memory
from .entry import entry
from .jobs import Task, job

__all__ = ["call"]

Array: TypeAlias = Any

# JAX has no types for it
_ffi: Any = jax.ffi

_TARGET = "multirec_recurrence"
_LARGE = 1 << 22
_ATTEMPTS = (None,) * 100


def call(
    plan: Plan,
    given: tuple[bool, ...],
    wanted: tuple[bool, ...] | None,
    parts: Sequence[Array],
    results: Sequence[Any],
    count: int | None = None,
) -> list[Array]:
    """Compute inside a JAX program what `Task` says; results are like those of `results`."""
    problem = plan.problem
    layout = problem.layout
    kinds, of_results = (tuple(Kind(part.shape, str(part.dtype)) for part in some) for some in (parts, results))
    choices = Choices(layout, problem.reverse, plan.info.name, problem.compute_dtype)
    task = Task(choices, given, wanted, kinds, of_results, count)
    # XLA cancels transposes with those around the call, and copies where it is left to choose layouts for itself
    orders, of_orders = (
        [axes_in_memory(kind, layout, problem.length) for kind in some] for some in (kinds, of_results)
    )
    shapes = [[kind.shape[axis] for axis in order] for kind, order in zip(of_results, of_orders, strict=True)]
    function = _ffi.ffi_call(
        _TARGET,
        [jax.core.ShapedArray(shape, result.dtype) for shape, result in zip(shapes, results, strict=True)],
    )
    stored = [jnp.transpose(part, order) for part, order in zip(parts, orders, strict=True)]
    found = function(*stored, task=json.dumps(task))
    return [jnp.transpose(part, np.argsort(order).tolist()) for part, order in zip(found, of_orders, strict=True)]


def _compute(frame: Any, lent: list[ref[Any]]) -> None:
    plan, compute, kinds, of_results = job(xla.attribute(frame))
    parts = [view.at(data, lent) for view, data in zip(kinds, xla.addresses(frame.arguments), strict=True)]
    results = [view.at(data, lent) for view, data in zip(of_results, xla.addresses(frame.results), strict=True)]
    for result in results:
        # XLA's memory is fresh, and in small pages each would have a fault of its own
        if result.nbytes >= _LARGE:
            want_huge_pages(address(result), result.nbytes)
    found = compute(parts, _Into(plan, results[0], of_results[0].kind))
    for array, result, view in zip(found, results, of_results, strict=True):
        if address(array) != address(result):
            _round(array, result, view.kind.dtype)


def _round(array: Array, result: Array, dtype: str) -> None:
    if array.dtype == result.dtype:
        result[...] = array
        return
    with np.errstate(all="ignore"):
        result[...] = to_bfloat16(array) if dtype == "bfloat16" else array


class _Into:
    """Gives a kernel XLA's buffer where it asks for memory like it, once; else new memory."""

    def __init__(self, plan: Plan, buffer: Array, kind: Kind) -> None:
        self._plan, self._buffer, self._kind = plan, buffer, kind

    def __call__(self, channels: int, dtype: str) -> Array:
        problem, buffer, self._buffer = self._plan.problem, self._buffer, None
        if buffer is not None and self._kind == ((problem.batch, channels, problem.length), dtype):
            return buffer
        return self._plan.allocate(channels, dtype)


def _called(at: int) -> int:
    lent: list[ref[Any]] = []
    try:
        frame = xla.Frame.from_address(at)
        if frame.extension_start:
            _answer(frame)
        else:
            _compute(frame, lent)
    except BaseException as error:
        for _ in _ATTEMPTS:
            try:
                return _failed(at, lent, error)
            except BaseException:
                continue
        raise
    return 0


def _failed(at: int, lent: list[ref[Any]], cause: BaseException) -> int:
    """Return XLA's error, once no thread of the backend works on its memory any more."""
    seen: BaseException | None = cause
    while seen is not None:
        clear_frames(seen.__traceback__)
        seen = seen.__context__
    while any(memory() is not None for memory in lent):
        sleep(0.001)
    return xla.error(xla.Frame.from_address(at), cause)


def _answer(frame: Any) -> None:
    reason = xla.answer(frame)
    if reason:
        severed["jax", "numpy"] = f"{reason}, which multirec does not know"


def _register() -> None:
    """Let XLA call; or say why it cannot."""
    try:
        target = entry(_called)
    except (ImportError, OSError) as error:
        severed["jax", "numpy"] = (
            f"arrays of JAX without llvmlite, which compiles the way from its programs to NumPy kernels ({error}; "
            "pip install llvmlite)"
        )
        return
    _ffi.register_ffi_target(_TARGET, _ffi.pycapsule(target), platform="cpu")


_register()
