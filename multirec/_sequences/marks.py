"""What marks sequences off, as the caller has it, and whether it fits x: shapes, data types, libraries, devices."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.arrays import spec_of
from .._core.problem import LAYOUT_AXES, Layout, Spec
from .._core.validate import Call
from ..errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError

__all__ = ["Marks", "check", "marks_of"]

Array: TypeAlias = Any

_TIME = {"BCT": "(batch…, time)", "BTC": "(batch…, time)", "TBC": "(time, batch…)"}


class Marks(NamedTuple):
    """The three arguments, None where nothing was passed; lists are NumPy's arrays."""

    resets: Array | None = None
    lengths: Array | None = None
    cu_seqlens: Array | None = None

    @property
    def states(self) -> int | None:
        """How many states there are with `cu_seqlens`; None is one an example."""
        return None if self.cu_seqlens is None else int(self.cu_seqlens.shape[0]) - 1


def marks_of(
    resets: Array | None = None, lengths: Array | None = None, cu_seqlens: Array | None = None
) -> Marks | None:
    """Return the arguments together, or None where none of them is passed."""
    if resets is None and lengths is None and cu_seqlens is None:
        return None
    return Marks(resets, _from_list(lengths, "lengths"), _from_list(cu_seqlens, "cu_seqlens"))


def _from_list(numbers: Any, name: str) -> Array | None:
    if not isinstance(numbers, (list, tuple, range)):
        return numbers
    try:
        found = np.asarray(numbers)
    except ValueError:
        raise ShapeError(
            f"{name} is a list of things that differ in shape: {numbers}. Pass a list of integers."
        ) from None
    return found if found.size else found.astype(np.int64)


def check(marks: Marks, x: Spec, call: Call) -> None:
    """Raise unless marks fit a call on x; values are not looked at."""
    layout, batch, length = call.problem.layout, call.batch_shape, call.problem.length
    resets, lengths, cu_seqlens = (
        None if part is None else spec_of(part, name) for part, name in zip(marks, Marks._fields, strict=True)
    )
    if lengths is not None and cu_seqlens is not None:
        raise ArgumentError(
            "lengths and cu_seqlens are both given: lengths are of examples that are padded, and cu_seqlens of "
            "sequences end to end without any padding. Pass one of them."
        )
    for name, spec in zip(Marks._fields, (resets, lengths, cu_seqlens), strict=True):
        if spec is not None:
            _check_place(name, spec, x)
    if resets is not None:
        _check_resets(resets, x, (length, *batch) if layout == "TBC" else (*batch, length), layout)
    if lengths is not None:
        _check_integers("lengths", lengths)
        if lengths.shape != batch:
            raise ShapeError(
                f"lengths has shape {lengths.shape}, expected {batch}: x of shape {x.shape} in layout {layout!r}, "
                f"{LAYOUT_AXES[layout]}, has those batch axes, and each example its number of samples."
            )
    if cu_seqlens is not None:
        _check_integers("cu_seqlens", cu_seqlens)
        _check_rows(cu_seqlens, x, batch, layout)


def _check_place(name: str, got: Spec, x: Spec) -> None:
    if got.family == "numpy":
        return
    if got.family != x.family:
        allowed = "of NumPy" if x.family == "numpy" else f"of {x.family} or NumPy"
        raise FamilyError(
            f"x is a {x.family} array and {name} is a {got.family} array; with such an x it must be {allowed}. "
            "Convert one of them."
        )
    if got.device != x.device:
        raise DeviceError(f"x is on {x.device} and {name} is on {got.device}. Move one of them.")


def _check_resets(resets: Spec, x: Spec, shape: tuple[int, ...], layout: Layout) -> None:
    if resets.dtype != "bool":
        raise DtypeError(
            f"resets has dtype {resets.dtype}, expected bool: True where the state before a sample is zero. Compare a "
            "mask of numbers, as in resets != 0; one that is 0 where a sequence begins is resets == 0."
        )
    if resets.shape != shape:
        raise ShapeError(
            f"resets has shape {resets.shape}, expected {shape}: {_TIME[layout]}, the axes that x of shape {x.shape} "
            f"has in layout {layout!r}, but for the channels."
        )


def _check_integers(name: str, got: Spec) -> None:
    if not got.dtype.startswith(("int", "uint")):
        raise DtypeError(f"{name} has dtype {got.dtype}, expected integers: numbers of samples. Cast it to int64.")


def _check_rows(cu_seqlens: Spec, x: Spec, batch: tuple[int, ...], layout: Layout) -> None:
    if len(cu_seqlens.shape) != 1 or not cu_seqlens.shape[0]:
        raise ShapeError(
            f"cu_seqlens has shape {cu_seqlens.shape}, expected (sequences + 1,): where each sequence begins, and at "
            "the end the length of x."
        )
    if batch != (1,):
        raise ShapeError(
            f"cu_seqlens is given and x of shape {x.shape} in layout {layout!r}, {LAYOUT_AXES[layout]}, has batch axes "
            f"{batch}: sequences lie end to end in the one row of a batch of (1,). Give x one batch axis of length 1; "
            "for padded examples pass lengths."
        )
