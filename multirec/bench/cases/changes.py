"""How the inputs of timed calls differ from those of the case, and whether a timed call's result is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .case import Case
from .judge import limits
from .reference import of_channels
from .signals import Array, Outputs, Signals, numbers
from .window import canonical, has_time

# bytes of memory of which there is one sum
_PIECE = 1 << 13
_NAMES = {"x": "gradient of x", "feedforward": "gradient of feedforward", "feedback": "gradient of feedback"}


class Change(NamedTuple):
    """The samples at which the sign of x, and that of the gradient of y, are changed in all rows."""

    x: int
    grad_y: int


def change(case: Case, arrays: Signals, at: Change) -> None:
    """Change the inputs in place; a second time restores them."""
    for array, time in ((arrays.x, at.x), (arrays.grad_y, at.grad_y)):
        if array is not None:
            negate(canonical(array, case.layout)[..., time])


def negate(view: Array) -> None:
    """Change signs in place; those of bits of bfloat16, too."""
    if view.dtype == np.uint16:
        view ^= np.uint16(0x8000)
    else:
        np.negative(view, out=view)


def wrong(case: Case, arrays: Signals, length: int, at: Change, channel: int, found: Outputs) -> str:
    """Say what is wrong with one channel of a timed call's results, or nothing.

    `arrays` are the case's, and only changed for as long as this takes. `found` is (B, T), or taps, by name.
    """
    wanted = _right(case, arrays, length, at, channel)
    values, slopes = limits(case.dtype)
    for name, got in found.items():
        if name not in wanted:
            continue
        right = wanted[name]
        array = _canonical(case, name, got)[:, : right.shape[1]] if has_time(case, name) else numbers(got)
        off, limit = _off(array, right), values if name in ("x", "y") else slopes
        if off <= limit:
            continue
        if name == "y" and _is_earlier(case, arrays, length, channel, array, limit):
            return "it returned the result of an earlier call, or memory that an earlier call had left"
        label = _NAMES.get(name, "values of y")
        return f"right when it was checked, and in a timed call {label} off by {off:.2g}, allowed {limit:.2g}"
    return ""


def _right(case: Case, arrays: Signals, length: int, at: Change | None, channel: int) -> Outputs:
    if at is not None:
        change(case, arrays, at)
    try:
        found = of_channels(case, arrays, np.array([channel]), length)
    finally:
        if at is not None:
            change(case, arrays, at)
    # an input that channels share has its gradient from all of them
    if case.features or case.x_channels != case.channels:
        found.pop("x", None)
    return {name: array[:, 0] if has_time(case, name) else array[0] for name, array in found.items()}


def _is_earlier(case: Case, arrays: Signals, length: int, channel: int, found: Array, limit: float) -> bool:
    """Say whether y is right for inputs that were changed elsewhere, or nowhere."""
    before = arrays._replace(grad_y=None)
    plain = _right(case, before, length, None, channel)["y"]
    largest = np.abs(plain).max()
    differs = (~(np.abs(found - plain) <= limit * largest)).any(axis=0)
    if not differs.any():
        return True
    first = int(np.argmax(differs))
    return _off(found, _right(case, before, length, Change(first, 0), channel)["y"]) <= limit


def _canonical(case: Case, name: str, array: Array) -> Array:
    """Return (B, T), and taps last where there are such."""
    array = numbers(array)
    return array.swapaxes(0, 1) if case.layout == "TBC" else array


def _off(got: Array, want: Array) -> float:
    with np.errstate(all="ignore"):
        found = float(np.abs(got - want).max() / max(np.abs(want).max(), np.finfo(np.float64).tiny))
    return found if np.isfinite(found) else np.inf


def marks(arrays: Signals) -> dict[str, Array]:
    """Return sums over pieces of the memory of each array, by which it is seen whether one was changed."""
    state = () if arrays.state is None else arrays.state
    each = {**arrays._asdict(), "state": None, **{f"state {n}": part for n, part in enumerate(state)}}
    return {name: _marks(array) for name, array in each.items() if array is not None}


def changed(arrays: Signals, before: dict[str, Array]) -> str:
    """Say which array is not what it was when its marks were made, or nothing."""
    names = [name.partition(" ")[0] for name, mark in marks(arrays).items() if not np.array_equal(mark, before[name])]
    labels = {"grad_y": "the gradient of y"}
    what = " and ".join(labels.get(name, name) for name in dict.fromkeys(names))
    return f"it changed its input: {what}" if names else ""


def _marks(array: Array) -> Array:
    memory = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = memory.size // _PIECE * _PIECE
    pieces = memory[:whole].view(np.uint64).reshape(-1, _PIECE // 8)
    return np.concatenate([pieces.sum(1), memory[whole:].astype(np.uint64)])
