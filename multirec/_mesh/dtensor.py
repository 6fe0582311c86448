"""DTensors: what a mesh cuts along batch or channels is computed where it is; one of its dimensions may cut time."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from .._core.problem import Layout, join_shape, split_shape
from .._core.state import State
from ..errors import ArgumentError, AxisError, UnsupportedError
from .group import dimension_of

__all__ = ["Placed", "placed_of"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Any, ...]
Axis: TypeAlias = int | str
"""A batch axis by its number, or what else it is."""


class Placed(NamedTuple):
    """How a mesh cuts signals: the axis that each of its dimensions cuts, None where all along it hold the same."""

    mesh: Any
    cuts: tuple[Axis | None, ...]
    layout: Layout
    shape: tuple[int, ...]

    @property
    def time(self) -> int | None:
        """The dimension of the mesh that cuts time."""
        return self.cuts.index("time") if "time" in self.cuts else None

    def local(self, arrays: Arrays, resets: Array | None, sum_gradients: bool) -> tuple[Arrays, Array | None]:
        """Return what of a call this rank has: of DTensors their part where x's is, other arrays as they are.

        A gradient of what is not cut as x is, is a part of a sum; but along time, where it is the sum already.
        """
        signal = _axes(len(self.shape), self.layout)
        axes = [signal, *(_axes_of_taps(part, signal) for part in arrays[1:3]), signal, signal]
        self._check_shared(arrays[1:3], axes[1:3])
        # states are those before and after all samples
        cut = (self.cuts, self.cuts, self.cuts, *[tuple(None if own == "time" else own for own in self.cuts)] * 2)
        found = tuple(
            self._local(part, own, cuts, sum_gradients) for part, own, cuts in zip(arrays, axes, cut, strict=True)
        )
        of_resets = tuple(axis for axis in signal if axis != "channels")
        return found, self._local(resets, of_resets, self.cuts, sum_gradients)

    def _local(self, part: Any, axes: tuple[Axis, ...], cuts: tuple[Axis | None, ...], sums: bool) -> Any:
        if not isinstance(part, DTensor):
            return part
        placements, of_gradient = [], []
        for cut, own in zip(cuts, self.cuts, strict=True):
            # one entry serves all of x's, unless x has but one
            if cut in axes and (part.shape[axes.index(cut)] != 1 or self._size(cut) == 1):
                place: Any = Shard(axes.index(cut))
                to: Any = place
            else:
                place = Replicate()
                to = place if own is None or (own == "time" and sums) else Partial()
            placements.append(place)
            of_gradient.append(to)
        found = part.redistribute(self.mesh, placements).to_local(grad_placements=of_gradient)
        # what is still on its way is waited for
        return found if type(found) is Tensor else found.clone()

    def _size(self, axis: Axis | None) -> int:
        """Return how long an axis of x is."""
        return self.shape[_axes(len(self.shape), self.layout).index(axis)]

    def _check_shared(self, taps: Arrays, axes: list[tuple[Axis, ...]]) -> None:
        if "channels" not in self.cuts or self._size("channels") != 1:
            return
        for part, own in zip(taps, axes, strict=True):
            if part is not None and part.shape[own.index("channels")] > 1:
                raise UnsupportedError(
                    f"x has one channel for all of the {part.shape[own.index('channels')]} that coefficients have, and "
                    "its mesh cuts channels, of which other ranks have none. Redistribute x with Replicate there, or "
                    "expand it to all channels."
                )

    def whole(self, y: Tensor, state: State) -> tuple[DTensor, State]:
        """Return results as DTensors: y cut as x is, and a state that every rank along time has."""
        batch, channels, time = split_shape(self.shape, self.layout)
        channels = channels if "channels" in self.cuts else split_shape(tuple(y.shape), self.layout)[1]
        inputs, outputs = (split_shape(tuple(part.shape), self.layout) for part in state)
        of_x = split_shape(self.shape, self.layout)[1]
        return self._whole(y, join_shape(batch, channels, time, self.layout), True), State(
            self._whole(state.inputs, join_shape(batch, of_x, inputs[2], self.layout), False),
            self._whole(state.outputs, join_shape(batch, channels, outputs[2], self.layout), False),
        )

    def _whole(self, part: Tensor, shape: tuple[int, ...], has_time: bool) -> DTensor:
        axes = _axes(len(shape), self.layout)
        placements = [
            Replicate() if cut is None or (cut == "time" and not has_time) else Shard(axes.index(cut))
            for cut in self.cuts
        ]
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(part, self.mesh, placements, run_check=False, shape=torch.Size(shape), stride=stride)


def placed_of(x: DTensor, mesh: Any, mesh_dim: str | int | None, layout: Layout) -> Placed:
    """Return how x is cut; raise where a recurrence cannot follow that, or where another mesh is named."""
    own = x.device_mesh
    if mesh is not None and mesh != own:
        raise ArgumentError(f"x is a DTensor on {own}, and mesh is {mesh!r}. Leave mesh out: a DTensor has its own.")
    axes = _axes(x.ndim, layout)
    found = Placed(own, tuple(_cut(place, axes, x) for place in x.placements), layout, tuple(x.shape))
    if found.cuts.count("time") > 1:
        raise UnsupportedError(
            f"x is placed as {x.placements}: more than one dimension of its mesh cuts time. Make one of them, or "
            "redistribute x."
        )
    if mesh_dim is not None and dimension_of(own, mesh_dim) != found.time:
        raise AxisError(
            f"mesh_dim is {mesh_dim!r}, and x in layout {layout!r} is placed as {x.placements}: that dimension of "
            "the mesh does not cut time. Leave mesh_dim out, or redistribute x."
        )
    return found


def _cut(place: Any, axes: tuple[Axis, ...], x: DTensor) -> Axis | None:
    if type(place) is Replicate:
        return None
    if type(place) is Shard:
        dim: int = place.dim
        return axes[dim]
    raise UnsupportedError(
        f"x is placed as {x.placements}: a recurrence takes Shard and Replicate. Redistribute x first."
    )


def _axes(rank: int, layout: Layout) -> tuple[Axis, ...]:
    """Return the axes of a signal, by name."""
    batch: tuple[Axis, ...] = tuple(range(rank - 2))
    return {
        "BCT": (*batch, "channels", "time"),
        "BTC": (*batch, "time", "channels"),
        "TBC": ("time", *batch, "channels"),
    }[layout]


def _axes_of_taps(taps: Any, signal: tuple[Axis, ...]) -> tuple[Axis, ...]:
    if taps is None or taps.ndim == 2:
        return "channels", "taps"
    if taps.ndim == len(signal):
        return *range(len(signal) - 2), "channels", "taps"
    return *signal, "taps"
