"""The projection of a block: called as the module that it is, or computed, where that is the same."""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from multirec._torch.linear import linear

__all__ = ["is_plain", "project"]

_HOOKS = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"


def is_plain(projection: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether a call does no more than weight and bias say: no adapter is in the projection's place, and no hook."""
    return (
        type(projection) is nn.Linear
        and "forward" not in projection.__dict__
        and not any(getattr(projection, hooks) for hooks in _HOOKS)
        and not _has_any_global_hook()  # type: ignore[no-untyped-call]
    )


def project(projection: nn.Module, x: Tensor) -> Tensor:
    """Return ``projection(x)``."""
    if is_plain(projection):
        return linear(x, projection.weight, projection.bias)
    found: Tensor = projection(x)
    return found
