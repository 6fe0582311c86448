"""Whether all ranks ask for the same, compared once for each kind of call: none can compute without the others."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

from .._core.problem import split_shape
from .._core.validate import NAMES, Call, Choices
from ..errors import ArgumentError, MultirecError
from .group import Group

__all__ = ["agreed"]

Arrays: TypeAlias = tuple[Any, ...]
Record: TypeAlias = dict[str, object]

_MANY = 1024
_seen: WeakKeyDictionary[Any, set[Hashable]] = WeakKeyDictionary()


def agreed(
    group: Group,
    arrays: Arrays | None,
    resets: Tensor | None,
    choices: Choices,
    varies: tuple[bool | None, ...],
    find: Callable[[], Call],
) -> Call:
    """Return what `find` validates; the first call of a kind raises on every rank if one raises or asks for other.

    Without arrays there is nothing to compare: `find` raises.
    """
    seen = _seen.setdefault(group.handle, set())
    record: Record = {} if arrays is None else _record(arrays, resets, choices)
    kind = tuple(record.items())
    if kind in seen:
        return find()
    error = None
    try:
        call = find()
        record["compute_dtype"] = call.problem.compute_dtype
        record |= {} if arrays is None else _values(arrays, varies)
    except MultirecError as found:
        error, record = found, {_ERROR: str(found)}
    records: list[Any] = [None] * group.size
    dist.all_gather_object(records, record, group=group.handle)
    if error is not None:
        raise error
    _compare(records)
    if len(seen) >= _MANY:
        seen.clear()
    seen.add(kind)
    return call


_ERROR, _VALUES = "error", "the values of "


def _record(arrays: Arrays, resets: Tensor | None, choices: Choices) -> Record:
    """Return what is to be the same on all ranks, whatever their lengths and values."""
    record: Record = {
        "layout": choices.layout,
        "reverse": choices.reverse,
        "resets": "none" if resets is None else "given",
    }
    rank = arrays[0].ndim
    for name, part in zip(NAMES, arrays, strict=True):
        record[name] = "none" if part is None else "given"
        if part is None:
            continue
        shape = tuple(part.shape)
        if name == "x":
            batch, channels, _ = split_shape(shape, choices.layout)
            record["x's batch axes"], record["x's channels"] = batch, channels
        elif name in NAMES[1:3] and part.ndim > rank:
            *axes, taps = shape
            batch, channels, _ = split_shape(tuple(axes), choices.layout)
            record[f"{name}'s axes but time"] = (*batch, channels, taps)
        else:
            record[f"{name}'s shape"] = shape
        record[f"{name}'s data type"] = str(part.dtype).removeprefix("torch.")
        record[f"a gradient of {name} is wanted"] = part.requires_grad and torch.is_grad_enabled()
    return record


def _values(arrays: Arrays, varies: tuple[bool | None, ...]) -> Record:
    """Return digests of what every rank is to hold: static coefficients and the state."""
    held = dict(zip(NAMES[1:], (*(part is False for part in varies), True, True), strict=True))
    parts = zip(NAMES[1:], arrays[1:], strict=True)
    record: Record = {_VALUES + name: _digest(part) for name, part in parts if part is not None and held[name]}
    return record | {
        f"{name} varies along time": own for name, own in zip(NAMES[1:3], varies, strict=True) if own is not None
    }


def _digest(tensor: Tensor) -> str:
    flat = tensor.detach().resolve_conj().cpu().reshape(-1)
    return blake2b(flat.view(torch.uint8).numpy().tobytes(), digest_size=16).hexdigest()


def _compare(records: list[Record]) -> None:
    refused = [f"rank {rank}: {record[_ERROR]}" for rank, record in enumerate(records) if _ERROR in record]
    if refused:
        raise ArgumentError(f"not every rank of the mesh can compute this call. {' '.join(refused)}")
    names = dict.fromkeys(name for record in records for name in record)
    found = [said for name in names if (said := _difference(name, records))]
    if found:
        raise ArgumentError(
            f"the ranks of the mesh ask for different recurrences: {'; '.join(found)}. Pass the same on every "
            "rank, but for the samples; what varies along time is cut like x."
        )


def _difference(name: str, records: list[Record]) -> str:
    """Say in what ranks differ, if they do; a rank that does not know differs from none."""
    ranks: dict[object, list[str]] = {}
    for rank, record in enumerate(records):
        if name in record:
            ranks.setdefault(record[name], []).append(str(rank))
    if len(ranks) < 2:
        return ""
    if name.startswith(_VALUES):
        groups = [", ".join(own) for own in ranks.values()]
        return f"{name} on ranks {' are others than on ranks '.join(groups)}"
    return f"{name}: " + ", ".join(
        f"{value} on rank{'s' if len(own) > 1 else ''} {', '.join(own)}" for value, own in ranks.items()
    )
