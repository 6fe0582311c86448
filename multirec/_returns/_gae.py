"""Generalised advantage estimation, in one pass backwards over time."""

from __future__ import annotations

from .._core.arrays import family_of, is_compiling, name_of
from .._core.axes import cast_to, namespace
from .._core.time_axis import TimeAxis
from .._recurrence import recurrence
from .._scan import scan
from ._episodes import Array, check_flags, check_like, check_rewards, factor, precision_of, time_of, unless


def gae(
    rewards: Array,
    values: Array,
    next_values: Array,
    *,
    terminated: Array,
    done: Array,
    gamma: Array,
    lam: Array,
    time_dim: int | None = None,
    backend: str = "auto",
) -> tuple[Array, Array]:
    """Return the generalised advantage estimate (Schulman et al., 2016, arXiv 1506.02438) and the target of values.

    With δ[t] = rewards[t] + gamma · next_values[t] − values[t], where next_values[t] counts as 0 if terminated[t],
    the advantage is A[t] = δ[t] + gamma · lam · A[t+1], where A[t+1] counts as 0 if done[t].

    Parameters
    ----------
    rewards
        Array of NumPy, torch, JAX or CuPy with an axis of time anywhere: what the step from state t gave.
    values, next_values
        Of rewards' shape and data type: the values of the state before the step, and of the one it led to. With
        ``done`` that one is the last state of its own episode, not the first of the next.
    terminated
        Booleans, True where the episode ended with step t, so that nothing can follow; rewards' axes, each full or 1.
    done
        True where step t is the last of its episode, for whatever reason: it terminated or was truncated, by a time
        limit for example. Advantages do not reach across it. Where it is set and `terminated` is not, the value of the
        next state still counts. Give the same array twice where nothing is truncated.
    gamma, lam
        The discount, and the decay of the average over horizons (λ): numbers, or arrays with rewards' axes, each full
        or 1; they may have gradients.
    time_dim
        Which axis is time: −2 for (envs, time, 1). It may be left out where there is one only.
    backend
        As in `recurrence`.

    Returns
    -------
    advantage, value_target
        Of rewards' shape, library and data type; ``value_target = advantage + values``. Half types are computed in
        float32. Gradients reach all three arrays, so call it in ``torch.no_grad()`` if they are not wanted.

    Raises
    ------
    MultirecError
        Arrays that do not fit together, flags that are not booleans, or an axis of time that is not said.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> truncated, never = np.array([False, True, False]), np.zeros(3, bool)
    >>> zeros, ones = np.zeros(3), np.ones(3)
    >>> mr.gae(ones, zeros, ones, terminated=never, done=truncated, gamma=0.5, lam=1.0)[0]
    array([2.25, 1.5 , 1.5 ])
    >>> mr.gae(ones, zeros, ones, terminated=truncated, done=truncated, gamma=0.5, lam=1.0)[0]
    array([2. , 1. , 1.5])
    """
    check_rewards(rewards)
    time = time_of(rewards, time_dim)
    for name, array in (("values", values), ("next_values", next_values)):
        check_like(name, array, rewards)
    for name, flags in (("terminated", terminated), ("done", done)):
        check_flags(name, flags, rewards)
    gamma, lam = factor("gamma", gamma, rewards), factor("lam", lam, rewards)
    dtype, precision = name_of(rewards.dtype), precision_of(rewards)
    rewards, values, next_values = (cast_to(part, precision) for part in (rewards, values, next_values))
    plain = _is_plain(rewards, values, next_values, gamma, lam)
    decay, future = unless(done, gamma * lam, rewards, plain), unless(terminated, next_values, rewards, plain)
    if plain:
        found = _in_place(rewards, values, future, decay, gamma, time, backend)
    else:
        delta = time.view(rewards + gamma * future - values)
        advantage, _ = scan(time.view(decay), delta, reverse=True, layout=time.layout, backend=backend)
        advantage = time.restore(advantage)
        found = advantage, advantage + values
    advantage, target = (cast_to(part, dtype) for part in found)
    return advantage, target


def _is_plain(*arrays: Array) -> bool:
    """Whether what is made of arrays may be written to, and nobody wants a derivative."""
    family = family_of(arrays[0])
    if family != "torch":
        return family != "jax"
    if is_compiling() or arrays[0].is_meta:
        return False
    from .._torch.door import NOTHING, wanted_of

    return wanted_of(tuple(part for part in arrays if not isinstance(part, float))) == NOTHING


def _in_place(
    rewards: Array, values: Array, future: Array, decay: Array, gamma: Array, time: TimeAxis, backend: str
) -> tuple[Array, Array]:
    """Return advantage and target in the memory of `future` and `decay`, which are not needed further."""
    delta, library = future, namespace(future)
    if library.__name__ == "torch" and isinstance(gamma, float):
        # one pass for both
        library.add(rewards, delta, alpha=gamma, out=delta)
    else:
        delta *= gamma
        delta += rewards
    delta -= values
    view, gates = time.view(delta), time.view(decay)[..., None]
    recurrence(view, feedback=gates, layout=time.layout, reverse=True, backend=backend, out=view)
    if decay.shape != delta.shape:
        return delta, delta + values
    return delta, library.add(delta, values, out=decay)
