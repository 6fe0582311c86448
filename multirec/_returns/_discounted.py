"""Discounted sums of rewards, episode by episode."""

from __future__ import annotations

from .._core.axes import namespace, zeros
from .._scan import scan
from ..errors import ShapeError
from ._episodes import Array, check_flags, check_rewards, factor, number_of, precision_of, time_of, unless


def discounted_returns(
    rewards: Array,
    dones: Array | None,
    gamma: Array,
    *,
    bootstrap: Array | None = None,
    time_dim: int | None = None,
    backend: str = "auto",
) -> Array:
    """Return G[t] = rewards[t] + gamma · G[t+1], where G[t+1] is 0 if an episode ends with step t.

    Parameters
    ----------
    rewards
        Array of NumPy, torch, JAX or CuPy with an axis of time anywhere.
    dones
        Booleans, True where step t is the last one of its episode; rewards' axes, each full or 1. None is nowhere.
    gamma
        The discount: a number, or an array with rewards' axes, each full or 1; it may have a gradient.
    bootstrap
        G after the last step: the value of the state that rewards end in. A number, or rewards' shape without the axis
        of time. It counts where the last step is not done. None is 0.
    time_dim
        Which axis is time. It may be left out where there is one only.
    backend
        As in `recurrence`.

    An episode that was cut off (truncated) at step t and did not end (terminate) there has a state after it that is
    worth something: set its flag, and add gamma times the value of that state to ``rewards[t]``.

    Returns
    -------
    Array
        Of rewards' shape, library and data type. Half types are added up in float32.

    Raises
    ------
    MultirecError
        Arrays that do not fit together, flags that are not booleans, or an axis of time that is not said.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> mr.discounted_returns(np.ones(4), np.array([False, True, False, False]), 0.5, bootstrap=2.0)
    array([1.5, 1. , 2. , 2. ])
    """
    check_rewards(rewards)
    time = time_of(rewards, time_dim)
    gates = factor("gamma", gamma, rewards)
    if dones is not None:
        check_flags("dones", dones, rewards)
        gates = unless(dones, gates, rewards)
    if getattr(gates, "ndim", 0):
        gates = time.view(gates)
    after = None if bootstrap is None else time.sample(_after(bootstrap, rewards, time.axis))
    returns, _ = scan(gates, time.view(rewards), initial=after, reverse=True, layout=time.layout, backend=backend)
    return time.restore(returns)


def _after(bootstrap: Array, rewards: Array, axis: int) -> Array:
    """Return what follows the last step, for each that there is."""
    shape = tuple(size for place, size in enumerate(rewards.shape) if place != axis)
    bootstrap = number_of("bootstrap", bootstrap, rewards)
    if isinstance(bootstrap, float):
        return zeros(rewards, shape, precision_of(rewards)) + bootstrap
    if tuple(bootstrap.shape) not in ((), shape):
        raise ShapeError(
            f"bootstrap has shape {tuple(bootstrap.shape)}, expected {shape}, rewards' without the axis of time, "
            "or one number."
        )
    return namespace(bootstrap).broadcast_to(bootstrap, shape)
