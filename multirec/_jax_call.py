"""NumPy backends inside programs that JAX compiles for a CPU: XLA calls them as it calls LAPACK, on its own buffers.

The call's one attribute says what to compute, in words that hold in another process too: compiled programs are kept.
"""

from __future__ import annotations

import ctypes
import dis
import json
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import compress
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from . import _xla_frame as xla
from ._address import address
from ._bfloat16 import to_bfloat16
from ._plan import Plan
from ._problem import Layout, Spec, plan_problem
from ._registry import registry
from ._select import plan_for
from .backend import Needs, Operands

__all__ = ["Task", "call", "refusal"]

Array: TypeAlias = Any

_TARGET = "multirec_recurrence"
_LARGE = 1 << 22
_HUGE_PAGE = 1 << 21
_MADV_HUGEPAGE = 14
_AFTER_AWAIT = 3


class Task(NamedTuple):
    """What a call computes: y of operands, or the gradients of those that `wanted` says.

    `given` says which operands there are. Gradients are computed of the operands, y and the gradient of y.
    """

    backend: str
    layout: Layout
    reverse: bool
    given: tuple[bool, ...]
    wanted: tuple[bool, ...] | None = None


def call(task: Task, parts: Sequence[Array], results: Sequence[Any]) -> list[Array]:
    """Compute a task inside a JAX program: canonical arrays in, and arrays of the shapes and dtypes of `results` out."""
    function = jax.ffi.ffi_call(
        _TARGET,
        [jax.ShapeDtypeStruct(result.shape, result.dtype) for result in results],
        input_layouts=[_axes(part, task.layout) for part in parts],
        output_layouts=[_axes(result, task.layout) for result in results],
    )
    return list(function(*parts, task=json.dumps(task)))


def _axes(array: Array, layout: Layout) -> tuple[int, ...] | None:
    """Return the order in which the axes of an array lie in memory: signals lie as the caller's do."""
    return {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout] if array.ndim == 3 else None


_refusal = ""


def refusal() -> str:
    """Say why this JAX's programs cannot call NumPy backends; nothing if they can."""
    return _refusal


@lru_cache(maxsize=1024)
def _task(text: bytes) -> Task:
    backend, layout, reverse, given, wanted = json.loads(text)
    return Task(backend, layout, reverse, tuple(given), None if wanted is None else tuple(wanted))


def _compute(frame: Any) -> None:
    task = _task(xla.attribute(frame))
    specs, parts = xla.buffers(frame.arguments, task.layout)
    types, results = xla.buffers(frame.results, task.layout, written=True)
    for result in results:
        _advise(result)
    rest, metadata = iter(parts), iter(specs)
    operands = Operands(*(next(rest) if there else None for there in task.given))
    of_x, *of_taps = (next(metadata) if there else None for there in task.given[:3])
    assert of_x is not None
    planned = plan_for(plan_problem(of_x, *of_taps, task.layout, task.reverse), task.backend)
    plan = _Into(planned, results[0], types[0].dtype)
    found: Sequence[Array]
    if task.wanted is None:
        found = [plan.forward(operands)]
    else:
        y, grad_y = rest
        found = list(compress(plan.vjp(operands, y, grad_y, None, None, Needs(*task.wanted)), task.wanted))
    with np.errstate(all="ignore"):
        for array, result, spec in zip(found, results, types, strict=True):
            if address(array) != address(result):
                result[...] = to_bfloat16(array) if spec.dtype == "bfloat16" and array.dtype != result.dtype else array


class _Into(Plan):
    """A plan that computes into a buffer of XLA's where the kernel asks for memory like it."""

    __slots__ = ("_buffer", "_dtype")

    def __init__(self, plan: Plan, buffer: Array, dtype: str) -> None:
        super().__init__(plan.problem, plan.info, registry.kernel(plan.info))
        self._buffer, self._dtype = buffer, dtype

    def _allocate(self, channels: int, dtype: str) -> Array:
        buffer, self._buffer = self._buffer, None
        if buffer is not None and buffer.ndim == 3 and (buffer.shape[1], self._dtype) == (channels, dtype):
            return buffer
        return super()._allocate(channels, dtype)


def _advise(result: Array) -> None:
    """Ask for huge pages: XLA's memory is fresh, and in small ones each would have a fault of its own."""
    if sys.platform != "linux" or result.nbytes < _LARGE:
        return
    start = -(-address(result) // _HUGE_PAGE) * _HUGE_PAGE
    size = address(result) + result.nbytes - start
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size // _HUGE_PAGE * _HUGE_PAGE), _MADV_HUGEPAGE)


def _unbroken(function: Callable[[int], int | None]) -> Callable[[int], int | None]:
    """Return a function that a signal does not stop before its first line.

    Python handles signals as it enters a function, and again where one resumes after `yield`, but not after `await`;
    XLA often calls on the main thread, and an exception that no line catches would reach it as a stray pointer.
    """
    assert isinstance(function, FunctionType)
    code = function.__code__
    enter = next(step.offset for step in dis.get_instructions(code) if step.opname == "RESUME")
    patched = bytearray(code.co_code)
    patched[enter + 1] = _AFTER_AWAIT
    function.__code__ = code.replace(co_code=bytes(patched))
    return function


@_unbroken
def _called(at: int) -> int | None:
    try:
        frame = xla.Frame.from_address(at)
        if frame.extension_start:
            _answer(frame)
        else:
            _compute(frame)
    except BaseException as error:
        return xla.error(xla.Frame.from_address(at), error)
    return None


def _answer(frame: Any) -> None:
    global _refusal
    reason = xla.answer(frame)
    if reason:
        _refusal = f"{reason}, which multirec does not know"


# it lives as long as XLA may call it
_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(_called)
jax.ffi.register_ffi_target(_TARGET, jax.ffi.pycapsule(_FUNCTION), platform="cpu")
