"""Modules whose units compute parts of sequences: each process has its samples, and calls what it would call alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh
    from torch.nn import Module

    _Module = TypeVar("_Module", bound=Module)

__all__ = ["shard_time"]


def shard_time(module: _Module, mesh: DeviceMesh | ProcessGroup | None, mesh_dim: str | int | None = None) -> _Module:
    """Have the units in a module compute the samples that they are given as this process's part of whole sequences.

    A call then takes this process's samples and returns their outputs, equal to those that one process would compute of
    all samples; so are gradients. Processes have parts in the order of their ranks, of any lengths. States, given and
    returned, are those of the whole sequence, the same on every process: None is a fresh start. `resets` are those of
    this process's samples. Every process of the mesh makes the same calls, and calls backward.

    The units are those of `multirec.nn` whose recurrence is linear in its state: `RecurrenceLayer`, `FilterBank`,
    `BandpassBank`, `ParametricEQ`, what `freeze` makes of them, `LRU`, `MinGRU`, `MinLSTM`, `QRNN`, `RGLRU`,
    `RGLRUBlock`, `SRU` with v1, and chains, stacks and both directions of those. Other modules are left as they are,
    and have to treat each sample by itself.

    Parameters
    ----------
    module
        A unit, or what has units in it. It is changed in place; parameters and `state_dict` stay as they are, copies
        are cut as it is, and what is pickled is whole.
    mesh, mesh_dim
        The processes along which time is cut, as in `recurrence`. None has units compute whole sequences again, and
        `step`, which is refused else.

    Returns
    -------
    Module
        The module.

    Raises
    ------
    UnsupportedError
        A part of it cannot be cut: a unit with a nonlinear recurrence (`RNN`, `IndRNN`, `SRU` without v1), `LPCSynth`,
        a unit of your own that holds no others, or a module of torch that sees several samples, as nn.GRU, nn.Conv1d
        and nn.MultiheadAttention.
    ArgumentError, AxisError
        There is no unit in it, or the mesh is none.

    Notes
    -----
    Gradients of all weights are this process's part of a sum over the processes: `DistributedDataParallel` and FSDP
    over all processes make of them what they make of those of a model whose batch is cut. Without them, add up the
    gradients.

    Example
    -------
    >>> import torch, torch.distributed as dist
    >>> from multirec import nn as mnn
    >>> from multirec.distributed import shard_time
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> layer = shard_time(mnn.RecurrenceLayer(3, 8), dist.group.WORLD)
    >>> outs, state = layer(torch.randn(20, 2, 3))
    >>> outs.shape
    torch.Size([20, 2, 8])
    >>> dist.destroy_process_group()
    """
    from ..nn._contract.cut_time import cut_time

    cut_time(module, mesh, mesh_dim)
    return module
