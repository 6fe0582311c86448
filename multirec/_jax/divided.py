"""Primitives in programs that XLA divides over devices: each computes its rows, as it would those of a call of its own.

XLA would gather what it cannot look into. It is told which axes are rows, and asks what a device is to compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
from jax.experimental.custom_partitioning import SdyShardingRule, custom_partitioning

from .._core.arrays import has_64_bit
from .rows import Rows

try:
    from jax._src.dispatch import prim_requires_devices_during_lowering as knows_devices
except ImportError:
    # XLA divides without us, as it can
    knows_devices = set()

__all__ = ["divided", "knows_devices"]

Array: TypeAlias = Any
Function: TypeAlias = Callable[..., list[Array]]

# JAX has no types for them
_partitioned: Any = custom_partitioning
_rule: Any = SdyShardingRule
_sum: Any = jax.lax.psum


def divided(function: Function, rows: Rows) -> Function:
    """Return a function of canonical arrays that devices compute for their rows.

    Results that have no axis of a kind of rows are sums over them, as gradients of coefficients are.
    """
    is_wide = has_64_bit()

    def computed(*parts: Array) -> list[Array]:
        # XLA asks from a thread of its own, which has its own settings
        with jax.enable_x64(is_wide), jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
            return function(*parts)

    def rule(mesh: Any, operands: list[Any], results: list[Any]) -> Any:
        others: list[str] = []

        def factors(kind: Any) -> tuple[str, ...]:
            names = []
            for name in rows.names(tuple(kind.shape)):
                if name is None:
                    name = f"whole{len(others)}"
                    others.append(name)
                names.append(name)
            return tuple(names)

        of_operands, of_results = (tuple(map(factors, some)) for some in (operands, results))
        return _rule(of_operands, of_results, need_replication_factors=tuple(others))

    def partition(mesh: Any, operands: tuple[Any, ...], results: list[Any]) -> Any:
        kinds = [(kind.shape, kind.sharding.spec) for kind in (*operands, *results)]
        cuts = rows.cuts(kinds, dict(mesh.shape))
        of_operands, of_results = (
            [jax.NamedSharding(mesh, rows.spec(kind.shape, cuts)) for kind in some] for some in (operands, results)
        )

        def own(*parts: Array) -> list[Array]:
            found = computed(*parts)
            return [_summed(part, kind.shape) for part, kind in zip(found, results, strict=True)]

        def _summed(part: Array, shape: tuple[int, ...]) -> Array:
            names = rows.names(shape)
            axes = tuple(axis for name, cut in cuts.items() if name not in names for axis in cut)
            return _sum(part, axes) if axes else part

        return mesh, own, of_results, tuple(of_operands)

    found = _partitioned(computed)
    found.def_partition(partition, sharding_rule=rule)
    with_rule: Function = found
    return with_rule
