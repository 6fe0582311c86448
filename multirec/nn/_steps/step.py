"""One sample of a unit: what is elementwise there in one call of a backend's machine code, or by torch's operations.

Both are the same formula. A backend is asked where it is plain arithmetic of tensors on the host, and of values alone.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.compiler import is_compiling

from multirec._core.arrays import name_of
from multirec._core.cell import Cell, Lines, Place
from multirec._core.problem import Layout, join_shape, real_precision
from multirec._engine.table import Table
from multirec._registry.choice import step_kernel
from multirec._torch.door import observed

from .._contract.unit import cast, time_axis
from .written import Formula, written_down

__all__ = ["Lies", "Step", "at_once", "by_torch", "held"]

Lies: TypeAlias = Literal["sample", "pairs", "past", "rows", "columns"]
"""Where a tensor has the numbers of a channel: side by side in a sample (batch…, n·C), along the axis of time of a
state, or of a parameter along the first axis, (n, C) or (C,), or along the last, (C, n). Pairs are a sample of complex
numbers, of which real and imaginary parts take turns (batch…, n·C·2)."""
_PLAIN = Tensor, torch.nn.Parameter


class Step(NamedTuple):
    """What a step computes of tensors.

    `formula` is hashable, and equal to no formula of another kind, as tuples would be. It takes the numbers of all
    tensors one after the other, and returns the output and the `kept` numbers of the state. `dtypes` are those of the
    two results; it is computed in the precision of the state. The first tensor is a sample, or pairs as the output is
    then, and the channels are those of what lies "past", or its own.
    """

    formula: Formula
    kept: int
    lies: tuple[Lies, ...]
    dtypes: tuple[torch.dtype, torch.dtype]
    layout: Layout
    backend: str


class _Launcher(NamedTuple):
    """What runs a step, if anything does, and the shapes of its results."""

    run: Callable[..., object] | None
    out: tuple[int, ...] = ()
    state: tuple[int, ...] = ()


_launchers: Table[_Launcher] = Table()


def at_once(step: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor] | None:
    """Return the outputs (batch…, C) and the state, with its axis of time, where a backend has them in one call.

    `step` is what a `Step` has. Little is done here: it takes longer than the machine code.
    """
    if is_compiling() or observed() or (torch.is_grad_enabled() and True in [part.requires_grad for part in tensors]):
        return None
    key = (
        step,
        *[(type(part), part.shape, part.dtype, part.is_cpu, part.is_contiguous(), part.is_neg()) for part in tensors],
    )
    run, out_shape, state_shape = _launchers.get(key) or _launchers.find(key, lambda: _launcher(Step(*step), tensors))
    out_dtype, state_dtype = step[3]
    if run is None or (state_dtype.is_complex and True in [part.is_conj() for part in tensors]):
        return None
    # torch.empty would be on the device that the caller has made the usual one
    out = tensors[0].new_empty(out_shape, dtype=out_dtype)
    state = tensors[0].new_empty(state_shape, dtype=state_dtype)
    run(*[part.data_ptr() for part in tensors], out.data_ptr(), state.data_ptr())
    return out, state


def held(module: torch.nn.Module, name: str) -> Any:
    """Return a parameter or a module of a module; nn.Module finds them by an error, which takes longer."""
    for names in (module._parameters, module._modules):
        found = names.get(name)
        if found is not None:
            return found
    return getattr(module, name)


def _launcher(step: Step, tensors: tuple[Tensor, ...]) -> _Launcher:
    """Return what runs a step of contiguous tensors."""
    if not all(part.ndim and part.shape[-1] for part in tensors):
        return _Launcher(None)
    sizes = _sizes(step, tensors)
    given = list(zip(step.lies, tensors, strict=True))
    counts = [_count(lies, part, sizes) for lies, part in given]
    state_dtype, compute = step.dtypes[1], real_precision(name_of(step.dtypes[1]))
    for (lies, part), count in zip(given, counts, strict=True):
        wide = real_precision(name_of(part.dtype)) != compute == "float32"
        other = lies == "past" and part.dtype != state_dtype
        half = lies == "pairs" and real_precision(name_of(part.dtype)) != name_of(part.dtype)
        if type(part) not in _PLAIN or not (part.is_cpu and part.is_contiguous()) or part.is_neg():
            return _Launcher(None)
        if wide or other or half or tuple(part.shape) not in _shapes(lies, count, sizes):
            return _Launcher(None)
    kernel = step_kernel(step.backend)
    if kernel is None:
        return _Launcher(None)
    program, stored = written_down(step.formula, sum(counts))
    inputs = [_placed(lies, part.dtype, count, sizes) for (lies, part), count in zip(given, counts, strict=True)]
    into: tuple[Lies, Lies] = step.lies[0], "past"
    made = list(zip(into, step.dtypes, (1, step.kept), strict=True))
    outputs = [_placed(lies, dtype, count, sizes) for lies, dtype, count in made]
    operands, results = (tuple(place for place, _ in both) for both in (inputs, outputs))
    cell = Cell(compute, operands, program, results, stored)
    run = kernel.step(cell, sizes.rows, sizes.channels, tuple(lines for _, lines in (*inputs, *outputs)))
    return _Launcher(run, *(_shapes(lies, count, sizes)[0] for lies, _, count in made))


class _Sizes(NamedTuple):
    """What the shapes of all tensors of a step are made of."""

    batch: tuple[int, ...]
    channels: int
    kept: int
    layout: Layout

    @property
    def rows(self) -> int:
        """How many examples there are."""
        return prod(self.batch)


def _sizes(step: Step, tensors: tuple[Tensor, ...]) -> _Sizes:
    at = step.lies.index("past") if "past" in step.lies else 0
    return _Sizes(tuple(tensors[0].shape[:-1]), tensors[at].shape[-1], step.kept, step.layout)


def _count(lies: Lies, tensor: Tensor, sizes: _Sizes) -> int:
    """Return how many numbers of a channel a tensor has."""
    shape = tensor.shape
    if lies == "rows":
        return 1 if len(shape) == 1 else shape[0]
    if lies == "columns":
        return shape[1]
    if lies == "past":
        return sizes.kept
    return shape[-1] // ((2 if lies == "pairs" else 1) * sizes.channels)


def _shapes(lies: Lies, count: int, sizes: _Sizes) -> list[tuple[int, ...]]:
    """Return the shapes that a tensor may have."""
    batch, channels, _, layout = sizes
    if lies == "rows":
        return [(count, channels), (channels,)]
    if lies == "columns":
        return [(channels, count)]
    if lies == "past":
        return [join_shape(batch, channels, count, layout)]
    return [(*batch, count * channels * (2 if lies == "pairs" else 1))]


def _placed(lies: Lies, dtype: torch.dtype, count: int, sizes: _Sizes) -> tuple[Place, Lines]:
    """Return how a tensor lies in memory."""
    dtype = dtype.to_complex() if lies == "pairs" else dtype
    name, size = name_of(dtype), dtype.itemsize
    part = sizes.channels * size
    if lies == "columns":
        return Place(name, count, count), Lines(0, size)
    if lies == "past" and sizes.layout == "TBC":
        return Place(name, count), Lines(part, sizes.rows * part)
    return Place(name, count), Lines(0 if lies == "rows" else count * part, part)


def by_torch(given: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Return the same by torch's operations."""
    step = Step(*given)
    of_out, of_state = step.dtypes
    # torch's compiler knows no to_real and no to_complex
    double = of_state in (torch.float64, torch.complex128)
    real, pairs = (torch.float64, torch.complex128) if double else (torch.float32, torch.complex64)
    sizes = _sizes(step, tensors)
    numbers: list[Tensor] = []
    for lies, part in zip(step.lies, tensors, strict=True):
        own = cast(part, pairs if part.is_complex() else real)
        if lies == "pairs":
            own = torch.view_as_complex(own.reshape(*own.shape[:-1], own.shape[-1] // 2, 2))
        axis = {"rows": 0, "columns": 1, "past": time_axis(step.layout)}.get(lies)
        if axis is None:
            count = _count(lies, part, sizes)
            numbers.extend(own.chunk(count, -1) if count > 1 else (own,))
        else:
            numbers.extend(own.unbind(axis) if own.ndim > 1 else (own,))
    out, *state = step.formula(*numbers)
    out = torch.view_as_real(out).flatten(-2) if step.lies[0] == "pairs" else out
    if not state:
        return cast(out, of_out), out.new_empty(join_shape(*sizes[:2], 0, step.layout), dtype=of_state)
    # torch.stack copies: what a caller writes over the output is not written over the state
    return cast(out, of_out), cast(torch.stack(state, time_axis(step.layout)), of_state)
