"""From a mesh to the processes along which time is cut."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.distributed as dist
from torch import Tensor

from ..errors import ArgumentError, AxisError, DeviceError, UnsupportedError

__all__ = ["Group", "group_of"]


class Group(NamedTuple):
    """Processes in the order of time, and which of them this is."""

    handle: Any
    rank: int
    size: int

    def gather(self, sent: Tensor) -> Tensor:
        """Return what each rank sent, one after the other along a first axis; the same size on all of them."""
        found = sent.new_empty((self.size, *sent.shape))
        dist.all_gather(list(found.unbind(0)), sent, group=self.handle)
        return found

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over the ranks."""
        dist.all_reduce(tensor, group=self.handle)


def group_of(mesh: Any, mesh_dim: str | int | None, x: Tensor) -> Group:
    """Return the processes of a mesh, or of one dimension of it; raise unless this is one of them."""
    if not dist.is_available() or not dist.is_initialized():
        raise UnsupportedError(
            "no process group is initialized, so that there is nobody to share time with. Call "
            "torch.distributed.init_process_group first, in every process. One process needs multirec.recurrence alone."
        )
    from torch.distributed.device_mesh import DeviceMesh

    if isinstance(mesh, DeviceMesh):
        return _of_mesh(mesh, mesh_dim, x)
    if not isinstance(mesh, dist.ProcessGroup):
        left_out = " This process is not in the group that new_group made." if _is_outside(mesh) else ""
        raise ArgumentError(
            f"mesh is {mesh!r}, expected a torch.distributed DeviceMesh or ProcessGroup: the processes along which "
            f"time is cut.{left_out} For all of them pass torch.distributed.group.WORLD."
        )
    if mesh_dim is not None:
        raise AxisError(
            f"mesh_dim is {mesh_dim!r}, and a ProcessGroup has no dimensions. Leave it out, or pass a mesh."
        )
    rank = dist.get_rank(mesh)
    if rank < 0:
        raise ArgumentError("this process is not in the group that mesh is. Call this only in processes of the group.")
    return Group(mesh, rank, dist.get_world_size(mesh))


def dimension_of(mesh: Any, mesh_dim: str | int | None) -> int:
    """Return the number of a dimension of a mesh."""
    names = mesh.mesh_dim_names or ()
    has = f"the mesh has {mesh.ndim} dimension{'s' if mesh.ndim != 1 else ''}"
    has += f", named {', '.join(map(repr, names))}" if names else ""
    if mesh_dim is None:
        if mesh.ndim == 1:
            return 0
        raise AxisError(f"mesh_dim is None, and {has}. Name the one along which time is cut.")
    if isinstance(mesh_dim, str) and mesh_dim in names:
        found: int = names.index(mesh_dim)
        return found
    is_number = isinstance(mesh_dim, int) and not isinstance(mesh_dim, bool)
    if is_number and -mesh.ndim <= int(mesh_dim) < mesh.ndim:
        return int(mesh_dim) % int(mesh.ndim)
    raise AxisError(f"mesh_dim is {mesh_dim!r}, and {has}. Pass a name or number of one of them.")


def _of_mesh(mesh: Any, mesh_dim: str | int | None, x: Tensor) -> Group:
    dim = dimension_of(mesh, mesh_dim)
    if mesh.get_coordinate() is None:
        raise ArgumentError(f"this process is not in {mesh}. Call this only in processes of the mesh.")
    if mesh.device_type != x.device.type:
        raise DeviceError(
            f"x is on {x.device}, and the mesh is of {mesh.device_type} devices. Move x, or make a mesh of x's."
        )
    return Group(mesh.get_group(dim), mesh.get_local_rank(dim), mesh.size(dim))


def _is_outside(mesh: Any) -> bool:
    return mesh is dist.GroupMember.NON_GROUP_MEMBER
