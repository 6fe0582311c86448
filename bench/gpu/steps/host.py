"""What a call takes of the host, whatever the device does: next to what torch itself takes for as little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

import multirec as mr

from ..results import Row
from . import timing
from .specs import Spec
from .workloads import Workload

CHUNK = Spec(1, 128, 256)


def streaming() -> Iterator[Row]:
    """W7: the host's time for one call on a short chunk with state."""
    x, b, a = (leaf.detach() for leaf in Workload(CHUNK).leaves)
    past = torch.zeros(1, CHUNK.channels, 2, device="cuda")
    bank = mr.RecurrenceBank(feedforward=b, feedback=a, backend="cupy")
    with torch.no_grad():
        yield _row("host time of a call", lambda: bank(x, mr.State(past, past)))
        yield _row("host time of torch.add, to compare", lambda: torch.add(x, x))


class _Nothing(torch.autograd.Function):
    """Gives x and its gradient back: what a function that autograd calls takes at least."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


def calls() -> Iterator[Row]:
    """A call of `recurrence` without and with gradients, and functions of torch that do next to nothing."""
    workload = Workload(CHUNK)
    yield workload.check()
    x, gradient = workload.x, torch.randn_like(workload.x)
    plain = x.detach()
    linear = torch.nn.Linear(CHUNK.length, CHUNK.length, device="cuda")
    nothing: Callable[[torch.Tensor], torch.Tensor] = _Nothing.apply
    with torch.no_grad():
        yield _row("torch.add", lambda: torch.add(plain, plain))
        yield _row("forward", workload.forward)
    yield _row("forward with gradient", workload.forward)
    leaves = (x, *linear.parameters())
    for name, forward, wanted in (
        ("a no-op autograd.Function, forward+backward", lambda: nothing(x), (x,)),
        ("nn.Linear, forward+backward", lambda: linear(x), leaves),
        ("forward+backward", workload.forward, workload.leaves),
    ):
        yield _row(name, _both(forward, wanted, gradient))


def _both(forward: Callable[[], torch.Tensor], leaves: tuple[torch.Tensor, ...], gradient: torch.Tensor) -> Any:
    return lambda: torch.autograd.grad(forward(), leaves, gradient)


def _row(name: str, work: Callable[[], Any]) -> Row:
    return {"mode": name, "host": timing.host_times(work)}
