"""Which backend computes a problem: the automatic choice, the explicit one, and the explanation of both.

The policy: of the backends that are installed, can be handed the arrays and support the problem, the first in
this order, by the device of x. A plugin outside of the list is used only by name.

* JAX arrays: jax, then as below; but as below on a cpu from 5 samples in time on, or 32768 of y: a call from a compiled
  program to numba takes tens of microseconds more than steps that are compiled without a loop, and compiles sooner.
* cpu: numba, unfold_scan, torch_loop, reference.
* cuda: cupy, unfold_scan, torch_loop, jax.
* other devices: unfold_scan, torch_loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._core.arrays import unreachable
from .._core.problem import Problem, join_shape
from ..backend import BackendInfo, StepKernel, Support
from ..errors import UnsupportedError
from .registry import registry

_SHORT, _FEW = 5, 1 << 15
"""Samples in time, and of y, below both of which backend jax has caught up, its compilation included, in 1000 calls."""
_POLICY = {
    "cpu": ("numba", "unfold_scan", "torch_loop", "reference"),
    "cuda": ("cupy", "unfold_scan", "torch_loop", "jax"),
}
_ELSEWHERE = ("unfold_scan", "torch_loop")


@dataclass(frozen=True)
class Explanation:
    """Which backend computes a problem, and why each other one is not picked.

    Attributes
    ----------
    chosen
        The name, or None if no backend, or not the one asked for, computes the problem.
    candidates
        Every registered name with its `Support`: reasons for refusal, or its place in the order.
    notes
        What is copied at the hand-over to the chosen one, if anything.
    asked
        The name asked for: ``"auto"``, or a backend's.
    """

    problem: Problem
    chosen: str | None
    candidates: dict[str, Support]
    notes: tuple[str, ...] = ()
    asked: str = "auto"

    def __str__(self) -> str:
        found = f"auto picks: {self.chosen or 'nothing'}"
        if self.asked != "auto":
            found = f"{self.asked} is asked for, and {'computes' if self.chosen else 'does not compute'} this"
        lines = [f"problem: {self.problem.describe()}", found]
        width = max(map(len, self.candidates), default=0)
        for name, support in self.candidates.items():
            lines.append(f"  {name:<{width}}  {'yes' if support.ok else 'no '}  {support.reason}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def order_for(problem: Problem) -> tuple[str, ...]:
    """Return the names that ``"auto"`` considers for a problem, best first."""
    order = _POLICY.get(problem.device_type, _ELSEWHERE)
    if problem.family == "jax":
        many = problem.length >= _SHORT or problem.batch * problem.channels * problem.length >= _FEW
        first = ("numba", "jax") if many and problem.device_type == "cpu" else ("jax",)
        return (*first, *(name for name in order if name not in first))
    return order


def judge(info: BackendInfo, problem: Problem) -> Support:
    """Say whether an installed backend computes a problem with the caller's arrays."""
    reason = unreachable(problem, info.family)
    return Support(False, reason) if reason else info.supports(problem)


def _judged(info: BackendInfo, problem: Problem) -> Support:
    """Judge one of many backends: one that is broken stops no other."""
    try:
        return judge(info, problem)
    except Exception as error:
        return Support(False, f"broken: {type(error).__name__}: {error}")


def _noted(info: BackendInfo, problem: Problem) -> str:
    try:
        return info.note(problem)
    except Exception as error:
        return f"its note fails with {type(error).__name__}: {error}"


def chosen(problem: Problem, backend: str, shape: tuple[int, ...] | None = None) -> BackendInfo:
    """Return the explicit or automatic choice; or raise, saying who could compute the problem of an x of `shape`."""
    return _pick(problem) if backend == "auto" else _named(problem, backend, shape)


def check_name(backend: str) -> None:
    """Raise unless `backend` is "auto" or names an installed backend."""
    if backend != "auto":
        registry.info(backend)


def _named(problem: Problem, name: str, shape: tuple[int, ...] | None) -> BackendInfo:
    info = registry.info(name, problem.family)
    support = judge(info, problem)
    if support.ok:
        return info
    x = shape or join_shape((problem.batch,), problem.x_channels, problem.length, problem.layout)
    installed = registry.installed(problem.family)
    able = [other for other, found, _ in installed if found is not None and _judged(found, problem).ok]
    raise UnsupportedError(
        f"backend {name!r} does not support {support.reason} for x of shape {x}, {problem.dtype}. "
        f"Backends that do: {', '.join(able) or 'none'}."
    )


def _pick(problem: Problem) -> BackendInfo:
    explanation, infos = _considered(problem)
    if explanation.chosen is None:
        raise UnsupportedError(f"no installed backend computes this problem.\n{explanation}")
    return infos[explanation.chosen]


def step_kernel(backend: str) -> StepKernel | None:
    """Return what computes steps of torch tensors on the host: of the backend that is named, or first in the order."""
    infos = {name: info for name, info, _ in registry.installed("torch") if info is not None}
    for name in _POLICY["cpu"] if backend == "auto" else (backend,):
        if name in infos and infos[name].family == "numpy":
            kernel = registry.kernel(infos[name])
            if isinstance(kernel, StepKernel):
                return kernel
    return None


def explain_problem(problem: Problem, backend: str = "auto") -> Explanation:
    """Say which backend ``"auto"`` picks for a problem, or whether one that is named computes it; and why no other."""
    if backend == "auto":
        return _considered(problem)[0]
    registry.entry(backend)
    explanation = _considered(problem)[0]
    chosen = backend if explanation.candidates[backend].ok else None
    return replace(explanation, asked=backend, chosen=chosen)


def _considered(problem: Problem) -> tuple[Explanation, dict[str, BackendInfo]]:
    order = order_for(problem)
    kind = problem.device_type if problem.family != "jax" else f"JAX arrays of this size on {problem.device_type}"
    infos: dict[str, BackendInfo] = {}
    candidates: dict[str, Support] = {}
    for name, info, why in registry.installed(problem.family):
        if info is None:
            candidates[name] = Support(False, why)
            continue
        support = _judged(info, problem)
        if support.ok and name not in order:
            support = Support(True, "by name only: not in the automatic order")
        elif support.ok:
            infos[name] = info
            support = Support(True, f"place {order.index(name) + 1} in the order for {kind}")
        if support.ok and (how := _noted(info, problem)):
            support = Support(True, f"{support.reason}: {how}")
        candidates[name] = support
    chosen = next((name for name in order if name in infos), None)
    return Explanation(problem, chosen, candidates), infos
