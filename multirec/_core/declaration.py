"""Validation of what a backend says of itself: every field of a `BackendInfo`, when it is made.

A misspelt kind or a negative order would make it refuse every problem, which nobody would notice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NoReturn, get_args

from ..errors import ArgumentError
from .problem import FLOATING_DTYPES, Kind, Target

__all__ = ["DEVICES", "PROMISES", "check_declaration", "in_tuples"]

DEVICES: dict[Target, tuple[str, ...]] = {
    "numpy": ("cpu",),
    "torch": ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "npu"),
    "jax": ("cpu", "cuda", "tpu"),
    "cupy": ("cuda",),
    "cuda": ("cuda",),
}
"""The device types that hold what kernels of each family take."""
PROMISES = ("bitwise", "library")

_NAME = re.compile(r"[a-z0-9_][\w.-]*", re.ASCII | re.IGNORECASE)
_KERNEL = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_REQUIREMENT = re.compile(r"[^\W\d]\w*(>=\d+(\.\d+)*)?")
_LISTS = ("requires", "devices", "dtypes", "kinds")


def in_tuples(fields: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return the fields that are lists as tuples, so that their backend is hashable; raise where one is neither."""
    found = {}
    for field in _LISTS:
        value = fields[field]
        if not isinstance(value, tuple | list):
            mend = f"({value!r},)" if isinstance(value, str) else "a tuple"
            _refuse(fields, field, value, "it is a tuple of strings", f"Pass {field}={mend}.")
        found[field] = tuple(value)
    return found


def check_declaration(fields: Mapping[str, Any]) -> None:
    """Raise unless a backend can be what its fields say."""
    _check_words(fields)
    _check_one(fields, "family", tuple(DEVICES))
    _check_one(fields, "promise", PROMISES)
    _check_each(fields, "dtypes", FLOATING_DTYPES)
    _check_each(fields, "kinds", get_args(Kind))
    _check_each(fields, "devices", DEVICES[fields["family"]], f" for family {fields['family']!r}")
    _check_orders(fields)
    if not isinstance(fields["wide"], bool):
        _refuse(fields, "wide", fields["wide"], "it is True or False")
    for field, what in (("decline", "the problem"), ("note", "the problem"), ("without", "the array library")):
        _check_function(fields, field, what)


def _check_words(fields: Mapping[str, Any]) -> None:
    name = fields["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        _refuse(fields, "name", name, "a name is made of letters, digits, '_', '-' and '.'")
    if name == "auto":
        _refuse(fields, "name", name, "it stands for the automatic choice", "Choose another name.")
    for field in ("summary", "install"):
        text = fields[field]
        if not (text is None and field == "install") and not (isinstance(text, str) and _is_line(text)):
            _refuse(fields, field, text, "it is one line of text" + (", or None" if field == "install" else ""))
    kernel = fields["kernel"]
    if not isinstance(kernel, str) or not _KERNEL.fullmatch(kernel):
        _refuse(fields, "kernel", kernel, "it is 'module:attribute', such as 'mine._kernel:kernel'")
    for need in fields["requires"]:
        if not isinstance(need, str) or not _REQUIREMENT.fullmatch(need):
            why = "it names top-level modules, such as 'jax' or, with the oldest version, 'jax>=0.10'"
            _refuse(fields, "requires", need, why, has=True)


def _is_line(text: str) -> bool:
    return bool(text.strip()) and len(text.splitlines()) == 1


def _check_one(fields: Mapping[str, Any], field: str, known: Sequence[str]) -> None:
    value = fields[field]
    if not isinstance(value, str) or value not in known:
        _refuse(fields, field, value, f"it is {_either(known)}", _meant(value, known))


def _check_each(fields: Mapping[str, Any], field: str, known: Sequence[str], where: str = "") -> None:
    values = fields[field]
    if not values:
        _refuse(fields, field, values, "it would compute nothing", f"They are {_either(known)}{where}.")
    for value in values:
        if not isinstance(value, str) or value not in known:
            _refuse(fields, field, value, f"they are {_either(known)}{where}", _meant(value, known), has=True)


def _check_orders(fields: Mapping[str, Any]) -> None:
    low, high = fields["min_order"], fields["max_order"]
    if not _is_order(low):
        _refuse(fields, "min_order", low, "it is a whole number of at least 0")
    if high is not None and not _is_order(high):
        _refuse(fields, "max_order", high, "it is a whole number of at least 0, or None for any order")
    if high is not None and high < low:
        _refuse(fields, "max_order", high, f"min_order={low} is above it, so it would compute nothing")


def _is_order(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _check_function(fields: Mapping[str, Any], field: str, what: str) -> None:
    function = fields[field]
    if not callable(function):
        _refuse(fields, field, function, f"it is a function of {what}")
    try:
        hash(function)
    except TypeError:
        _refuse(fields, field, function, "backends are keys of dictionaries, and it has no hash", "Pass a function.")


def _either(known: Sequence[str]) -> str:
    names = [repr(name) for name in known]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _meant(value: object, known: Sequence[str]) -> str:
    # imported here, on the way to an error: it takes longer than the checks
    from difflib import get_close_matches

    close = get_close_matches(str(value).lower(), known, n=1, cutoff=0.7)
    return f"Did you mean {close[0]!r}?" if close else ""


def _refuse(
    fields: Mapping[str, Any], field: str, value: object, why: str, then: str = "", has: bool = False
) -> NoReturn:
    of = f" of {fields['name']!r}" if field != "name" else ""
    got = f"{field} has {value!r}" if has else f"{field}={value!r}"
    raise ArgumentError(f"BackendInfo{of}: {got}, but {why}.{' ' if then else ''}{then}")
