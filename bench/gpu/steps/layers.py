"""Training steps of layers: as they are called, as a captured graph, and next to a linear layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from multirec.nn import BandpassBank, FilterBank, RecurrenceLayer

from ..items import Items
from ..results import Row
from . import timing

BANK, CHANNELS, RECURRENT = (32, 16_000), 128, (4096, 8, 1024)
"""Sizes of the signals that a bank gets, its filters, and the layer's sizes: time, examples, features."""
_RATE = 16_000
_CAPTURED, _ROUNDED = 1e-4, 5e-2


def bank_step(make: Callable[[], torch.nn.Module]) -> Iterator[Row]:
    """Time a step of a bank, called from Python and captured; the captured one has to find the same gradients."""
    bank, x = make(), torch.randn(BANK, device="cuda")
    gradient = torch.randn_like(bank(x)[0])

    def step() -> None:
        for parameter in bank.parameters():
            parameter.grad = None
        bank(x)[0].backward(gradient)

    step()
    eager = [parameter.grad for parameter in bank.parameters()]
    wall = timing.wall_times(step)
    yield {"mode": "step", "wall": wall, "host": timing.host_times(step, 200)}
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    graph.replay()
    torch.cuda.synchronize()
    off = max(map(_off, (parameter.grad for parameter in bank.parameters()), eager))
    captured = timing.wall_times(graph.replay)
    status = "ok" if off <= _CAPTURED else "wrong"
    yield {"mode": "captured", "status": status, "off": off, "wall": captured, "of_captured": wall / captured}


def recurrent_step() -> Iterator[Row]:
    """Time a step of a recurrent layer in bfloat16 by autocast, next to that of a linear layer of its size."""
    features, x = RECURRENT[-1], torch.randn(RECURRENT, device="cuda").requires_grad_()
    layer = RecurrenceLayer(features, features, backend="cupy", device="cuda")
    linear = torch.nn.Linear(features, features, device="cuda")
    with torch.no_grad():
        off = _off(_rounded(layer, x).float(), layer(x)[0])
    yield {"mode": "check", "status": "ok" if off <= _ROUNDED else "wrong", "off": off}
    gradient = torch.randn_like(_rounded(layer, x))

    def step(module: torch.nn.Module) -> Any:
        return torch.autograd.grad(_rounded(module, x), (x, *module.parameters()), gradient)

    beside = timing.device_times(partial(step, linear), 0.4)
    times = timing.device_times(partial(step, layer), 0.4)
    yield {"mode": "forward+backward", **times._asdict(), "linear": beside.cold, "of_linear": times.cold / beside.cold}


def _rounded(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cuda", torch.bfloat16):
        found = module(x)
    y: torch.Tensor = found[0] if isinstance(found, tuple) else found
    return y


def _off(mine: Any, want: Any) -> float:
    return float((mine - want).norm() / want.norm())


LAYERS: Items = {
    "BandpassBank(128)": partial(bank_step, lambda: BandpassBank(CHANNELS, _RATE, backend="cupy", device="cuda")),
    "FilterBank(128)": partial(bank_step, lambda: FilterBank(CHANNELS, backend="cupy", device="cuda")),
    "RecurrenceLayer(1024)": recurrent_step,
}
