"""W5: a gate for each sample; with gates on values, too, and held to fresh products of such arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

import multirec as mr

from .row import Call, Row, leaves, noise, placed, quiet, train

_SHAPE = (8, 1024, 4096)


def w5(layout: str, backend: str) -> Row:
    x, grad = noise(_SHAPE, layout, 5), torch.from_numpy(noise(_SHAPE, layout, 6))
    rng = np.random.default_rng(7)
    gates = [placed(rng.uniform(0.5, 0.999, (*_SHAPE, 1)).astype(np.float32), layout) for _ in range(2)]
    inputs, wide = leaves(x, gates[0]), leaves(x, *gates)

    def gated(x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedback=gate, layout=layout, backend=backend)[0]

    def gated_twice(x: torch.Tensor, gate: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedforward=values, feedback=gate, layout=layout, backend=backend)[0]

    row = Row(f"time-varying order 1, [8,1024,4096] as (B, C, T), {layout}")
    target, flat = np.empty_like(x), gates[0][..., 0]
    row.forward["limit"] = lambda: np.multiply(x, flat, out=target)
    row.forward["fresh limit"] = lambda: np.multiply(x, flat, out=np.empty_like(x))
    row.forward[backend] = quiet(gated, *inputs)
    row.forward["gates on values"] = quiet(gated_twice, *wide)
    row.both["limit"] = moved(x, flat, target)
    for count, name in ((3, "three products"), (4, "four products")):
        row.both[name] = products(x, flat, count)
    row.both[backend] = train(gated, inputs, grad)
    row.both["y.sum()"] = lambda: torch.autograd.grad(gated(*inputs).sum(), inputs)
    row.both["gates on values"] = train(gated_twice, wide, grad)
    peer = philtorch() if layout == "BCT" else None
    if peer is not None:
        row.forward["philtorch"] = quiet(peer, *inputs)
        row.both["philtorch"] = train(peer, inputs, grad)
    return row


def moved(x: np.ndarray, gate: np.ndarray, target: np.ndarray) -> Call:
    """Return the traffic of a training step in memory that is there already."""

    def move() -> None:
        np.multiply(x, gate, out=target)
        np.multiply(x, target, out=target)
        np.copyto(target, x)

    return move


def products(x: np.ndarray, gate: np.ndarray, count: int) -> Call:
    """Return so many products in fresh memory, by torch's threads."""
    first, second = torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(gate))
    return lambda: [torch.mul(first, second) for _ in range(count)]


def philtorch() -> Callable[..., torch.Tensor] | None:
    try:
        from philtorch.lpv import linear_recurrence
    except ImportError:
        return None

    def peer(x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, 1)
        return linear_recurrence(gate[..., 0].flatten(0, 1), rows.new_zeros(rows.shape[0]), rows).view_as(x)

    return peer
