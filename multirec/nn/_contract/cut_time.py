"""Which units of a module compute their samples as a part of the whole, and which modules cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from multirec.errors import ArgumentError, UnsupportedError

from .along_time import AlongTime
from .time_mesh import TimeMesh
from .unit import RecurrentUnit

__all__ = ["cut_time"]

_OF_TORCH = nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention
"""Modules of torch that see several samples."""


def cut_time(module: nn.Module, mesh: Any, mesh_dim: str | int | None) -> None:
    """Have all units in a module compute parts of sequences, or, without a mesh, whole ones; raise if one cannot."""
    units = [part for part in module.modules() if isinstance(part, AlongTime)]
    if not units:
        raise ArgumentError(
            f"there is no unit of multirec.nn in this {type(module).__name__}, so that no time would be cut."
        )
    found = None if mesh is None and mesh_dim is None else _found(module, mesh, mesh_dim)
    for unit in units:
        unit._time_mesh = found


def _found(module: nn.Module, mesh: Any, mesh_dim: str | int | None) -> TimeMesh:
    from multirec._mesh.group import group_of

    # raises what is wrong with the mesh
    group_of(mesh, mesh_dim, torch.empty(0, device=getattr(mesh, "device_type", "cpu")))
    refused = [f"{name or 'it'}, a {type(part).__name__}, {why}" for name, part, why in _whole(module)]
    if refused:
        raise UnsupportedError(
            f"the time of this {type(module).__name__} cannot be cut: {'; '.join(refused)}. Use units whose recurrence "
            "is linear in its state, such as RecurrenceLayer, MinGRU or SRU with v1=True, and plain modules that see "
            "one sample at a time; or call shard_time with those parts that can be cut, and run the others on whole "
            "sequences."
        )
    return TimeMesh(mesh, mesh_dim)


def _whole(module: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield what needs whole sequences: its name, itself, and why."""
    for name, part in module.named_modules():
        why = _why(part)
        if why:
            yield name, part, why


def _why(part: nn.Module) -> str:
    if isinstance(part, _OF_TORCH) or (isinstance(part, nn.Conv1d) and part.kernel_size != (1,)):
        return "sees several samples"
    if isinstance(part, RecurrentUnit) and _is_written_elsewhere(part):
        inner = (RecurrentUnit, *_OF_TORCH)
        holds_units = any(isinstance(child, inner) for child in part.modules() if child is not part)
        if isinstance(part, AlongTime) or not holds_units:
            return "has a call of its own, of which nothing is known"
    why: str = getattr(part, "_needs_all", "")
    return why


def _is_written_elsewhere(unit: RecurrentUnit) -> bool:
    methods = type(unit).forward, type(unit).compute
    return not all(method.__module__.startswith("multirec.nn.") for method in methods)
