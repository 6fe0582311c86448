"""Which backend computes a recurrence with an activation inside: of `auto`'s order the first with a kernel of it."""

from __future__ import annotations

from .._core.activated import Activated, signal_problem
from .._core.arrays import unreachable
from .._registry.choice import order_for
from .._registry.registry import registry
from ..backend import ActivatedKernel, BackendInfo
from ..errors import UnsupportedError

__all__ = ["choose"]


def choose(problem: Activated, backend: str) -> tuple[BackendInfo, ActivatedKernel]:
    """Return the explicit or automatic choice and its kernel; or raise, saying who could compute the problem."""
    if backend != "auto":
        info = registry.info(backend, problem.family)
        reason = _refusal(info, problem)
        if not reason:
            return info, _kernel(info)
        able = [other.name for other in _installed(problem) if not _refusal(other, problem)]
        raise UnsupportedError(
            f"backend {backend!r} does not support {reason}. Backends that compute {problem.describe()}: "
            f"{', '.join(able) or 'none'}."
        )
    by_name = {info.name: info for info in _installed(problem)}
    reasons = []
    for name in order_for(signal_problem(problem)):
        if name in by_name:
            reason = _refusal(by_name[name], problem)
            if not reason:
                return by_name[name], _kernel(by_name[name])
            reasons.append(f"\n  {name}: {reason}")
    raise UnsupportedError(f"no installed backend computes {problem.describe()}.{''.join(reasons)}")


def _installed(problem: Activated) -> list[BackendInfo]:
    return [info for _, info, _ in registry.installed(problem.family) if info is not None]


def _refusal(info: BackendInfo, problem: Activated) -> str:
    """Return why a backend does not compute a problem; "" where it does."""
    plain = signal_problem(problem)
    reason = unreachable(plain, info.family)
    if reason:
        return reason
    if plain.device_type not in info.devices:
        return f"device {plain.device_type!r} (it supports {', '.join(info.devices)})"
    if problem.dtype not in info.dtypes:
        return f"dtype {problem.dtype} (it supports {', '.join(info.dtypes)})"
    kernel = registry.kernel(info)
    if not isinstance(kernel, ActivatedKernel):
        return f"{problem.kind!r}, nor any other recurrence with an activation inside"
    return kernel.activates(problem)


def _kernel(info: BackendInfo) -> ActivatedKernel:
    kernel = registry.kernel(info)
    assert isinstance(kernel, ActivatedKernel)
    return kernel
