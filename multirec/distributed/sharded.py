"""Recurrences whose time is cut over processes or devices: each calls with its samples what it would call alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .._core.arrays import family_of
from .._core.axes import without_time
from .._core.problem import ComputeDtype, Layout
from .._core.state import State
from .._core.validate import as_choices, as_layout
from .._engine.call import split_state
from .._scan import in_own_words, past_of, taps_of
from ..errors import ArgumentError, FamilyError, MultirecError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh

__all__ = ["recurrence", "scan"]

Array: TypeAlias = Any


def recurrence(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    state: State | None = None,
    mesh: DeviceMesh | ProcessGroup | None = None,
    mesh_dim: str | int | None = None,
    axis_name: str | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
    resets: Array | None = None,
    check: bool = True,
    sum_gradients: bool = True,
) -> tuple[Array, State]:
    """Compute `multirec.recurrence` of a sequence whose samples lie on several processes, in the order of their ranks.

    Every process of the mesh calls it, with its own samples; together they get what one process would for all samples,
    values and gradients. Messages do not grow with the length: one is exchanged forward, and one backward. For JAX, the
    ranks are the devices along an axis of `jax.shard_map`, and it is called inside of that.

    Parameters
    ----------
    x
        This rank's samples: a tensor as `multirec.recurrence` takes it. Lengths may differ between ranks, and may be 0.
        Or a DTensor: a dimension of its mesh may cut time, and others batch axes or channels, which needs no messages.
    feedforward, feedback
        As in `multirec.recurrence`. What has an axis of time is cut like x; all else is the same on every rank, and so
        is what has one entry along time, unless every rank has one sample. With a DTensor they may be DTensors, too, of
        any placement; tensors are then this rank's part.
    state
        The state before the whole sequence, the same on every rank; with `reverse` the one after it.
    mesh, mesh_dim
        The processes along which time is cut: a DeviceMesh, and which of its dimensions, by name or number, if it has
        several; or a ProcessGroup. With a DTensor, which knows, nothing is needed. Of torch.
    axis_name
        The axis of the mesh along which `jax.shard_map` cuts time, for arrays of JAX. The state is given and returned
        without that axis in its specs; what varies along time, and resets, are cut like x. Lengths are the same on all
        devices.
    layout, reverse, backend, compute_dtype
        As in `multirec.recurrence`.
    resets
        As in `multirec.recurrence`, of this rank's samples.
    check
        At the first call of a kind, with these sizes and types, ranks compare what they ask for, the values of static
        coefficients and of the state included: a small message. False leaves it out.
    sum_gradients
        Whether gradients of what every rank holds, static coefficients and the state, are added up over the ranks,
        which is one more message: each rank then has the gradient of the sum of all losses. False leaves each rank its
        own part, for DistributedDataParallel or FSDP over the same processes, which add up or average by themselves.
        JAX adds up what is not cut.

    Returns
    -------
    y
        Of this rank's samples. A DTensor cut as x is, if x is one.
    state
        The state after the whole sequence, on every rank. What ranks make of it counts once for each of them; of a
        DTensor, which is one for all, once. As the state of a next call over the same ranks it counts once, too, if it
        is passed on as it is, or but for functions of it alone.

    Raises
    ------
    MultirecError
        As in `multirec.recurrence`; for a mesh that does not fit, and where ranks ask for different things. What
        torch.distributed raises, where a process is gone or late, is passed on.

    Notes
    -----
    Every rank takes part in backward, so each one's loss is to depend on its y or the state. With torch there are no
    second derivatives, transforms or compiled graphs: `summarize`, `compose` and `replay` have those. JAX has
    derivatives of any order, also under `jax.jit` and `jax.vmap`.

    Example
    -------
    >>> import torch, torch.distributed as dist
    >>> from multirec.distributed import recurrence
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> y, state = recurrence(torch.ones(1, 1, 3), feedback=torch.tensor([[0.5]]), mesh=dist.group.WORLD)
    >>> y
    tensor([[[1.0000, 1.5000, 1.7500]]])
    >>> dist.destroy_process_group()

    With JAX:

    >>> import jax, jax.numpy as jnp
    >>> mesh = jax.make_mesh((1,), ("time",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> cut, whole = jax.P(None, None, "time"), jax.P()
    >>> def filtered(x, a):
    ...     return recurrence(x, feedback=a, axis_name="time")
    >>> apart = jax.shard_map(filtered, mesh=mesh, in_specs=(cut, whole), out_specs=(cut, whole))
    >>> y, state = apart(jnp.ones((1, 1, 3)), jnp.array([[0.5]]))
    >>> y
    Array([[[1.  , 1.5 , 1.75]]], dtype=float32)
    """
    family = _checked_family(x, mesh, mesh_dim, axis_name)
    choices = as_choices(layout, reverse, backend, compute_dtype)
    arrays = x, feedforward, feedback, *split_state(state)
    if family == "jax":
        from .._shard_map import recurrence as recurrence_of_jax

        return recurrence_of_jax(arrays, choices, resets, _checked_axis(axis_name, sum_gradients))
    from .._mesh.door import recurrence as recurrence_of_tensors

    return recurrence_of_tensors(arrays, choices, resets, mesh, mesh_dim, check=check, sum_gradients=sum_gradients)


def scan(
    gates: Array,
    values: Array,
    *,
    initial: Array | None = None,
    mesh: DeviceMesh | ProcessGroup | None = None,
    mesh_dim: str | int | None = None,
    axis_name: str | None = None,
    reverse: bool = False,
    resets: Array | None = None,
    compute_dtype: ComputeDtype | None = None,
    layout: Layout = "BTC",
    backend: str = "auto",
    check: bool = True,
    sum_gradients: bool = True,
) -> tuple[Array, Array]:
    """Compute `multirec.scan` of values whose samples lie on several processes, as `recurrence` does.

    Parameters
    ----------
    gates, values, initial, reverse, resets, compute_dtype, layout, backend
        As in `multirec.scan`: values, resets, and gates along time are this rank's; `initial` is the same on all ranks.
    mesh, mesh_dim, axis_name, check, sum_gradients
        As in `recurrence`.

    Returns
    -------
    y
        Of this rank's samples.
    last
        The sample after which the whole sequence ends, on every rank.

    Raises
    ------
    MultirecError
        As in `recurrence`.

    Example
    -------
    >>> import torch, torch.distributed as dist
    >>> from multirec.distributed import scan
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> y, last = scan(torch.full((1, 3, 1), 0.5), torch.ones(1, 3, 1), mesh=dist.group.WORLD)
    >>> last
    tensor([[1.7500]])
    >>> dist.destroy_process_group()
    """
    layout = as_layout(layout)
    family_of(values, "values")
    taps, state = taps_of(gates, values, layout), past_of(initial, gates, values, layout)
    try:
        y, state = recurrence(
            values,
            feedback=taps,
            state=state,
            mesh=mesh,
            mesh_dim=mesh_dim,
            axis_name=axis_name,
            layout=layout,
            reverse=reverse,
            backend=backend,
            compute_dtype=compute_dtype,
            resets=resets,
            check=check,
            sum_gradients=sum_gradients,
        )
    except MultirecError as error:
        raise in_own_words(error, gates, values, initial, layout, None) from None
    return y, without_time(state.outputs, layout)


def _checked_family(x: Array, mesh: Any, mesh_dim: Any, axis_name: Any) -> str:
    """Return the library of x, once what says where its samples lie is that library's."""
    family = family_of(x)
    if family not in ("torch", "jax"):
        raise FamilyError(
            "distributed.recurrence exchanges tensors by torch.distributed, and arrays of JAX inside of jax.shard_map, "
            f"and x is an array of {family}. Pass one of them, or drive multirec.distributed.summarize, compose and "
            "replay, which take every library."
        )
    given = [name for name, part in (("mesh", mesh), ("mesh_dim", mesh_dim)) if part is not None]
    if given and axis_name is not None:
        raise ArgumentError(
            f"{given[0]} and axis_name are both given: the one is of torch.distributed, the other of jax.shard_map. "
            f"x is an array of {family}: leave out {given[0] if family == 'jax' else 'axis_name'}."
        )
    if family == "torch" and axis_name is not None:
        raise ArgumentError(
            f"axis_name is {axis_name!r}, and x is a tensor: axes have names inside of jax.shard_map. Pass mesh, a "
            "DeviceMesh or ProcessGroup of torch.distributed."
        )
    if family == "jax" and axis_name is None:
        raise ArgumentError(
            f"{given[0] if given else 'axis_name'} is {'given' if given else 'missing'}, and x is an array of JAX. "
            "Call it inside of jax.shard_map, with axis_name, the axis of its mesh along which time is cut."
        )
    return family


def _checked_axis(axis_name: Any, sum_gradients: bool) -> str:
    if not isinstance(axis_name, str):
        raise ArgumentError(f"axis_name is {axis_name!r}, expected the name of one axis of a mesh, a string.")
    if not sum_gradients:
        raise ArgumentError(
            "sum_gradients is False, and x is an array of JAX: jax.shard_map adds up the gradients of what it does not "
            "cut. Leave it out, or cut what is to have a gradient of its own on each device."
        )
    return axis_name
