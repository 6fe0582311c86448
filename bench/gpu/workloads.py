"""The workloads on the device: what is computed, how it is checked, and the traffic that it needs at least."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

import multirec as mr

SIZES = {
    "W1 forum": (32, 128, 16_000),
    "W2 dense": (32, 128, 16_000),
    "W3 long": (2, 1, 10_000_000),
    "W4 order 16": (16, 32, 48_000),
    "W5 gated": (8, 1024, 4096),
    "W8 complex": (8, 256, 4096),
}
"""(B, C, T) of y."""
CHECKED = 2000
"""Samples that are compared with float64 at both ends."""


@dataclass
class Workload:
    """A call and its floor: bytes, and whether they are written only or copied."""

    name: str
    forward: Callable[[], Any]
    leaves: tuple[torch.Tensor, ...]
    forward_bytes: int
    backward_bytes: int
    bandwidth: str


def poles(channels: int, generator: torch.Generator) -> torch.Tensor:
    """Return the feedback of stable resonators, (channels, 2)."""
    radius = 0.9 + 0.09 * torch.rand(channels, generator=generator, device="cuda")
    angle = 3.1 * torch.rand(channels, generator=generator, device="cuda")
    return torch.stack([2 * radius * angle.cos(), -(radius**2)], -1)


def call(x: torch.Tensor, feedforward: Any, feedback: Any, **options: Any) -> Callable[[], torch.Tensor]:
    """Return the workload's call on the backend that is measured."""
    return lambda: mr.recurrence(x, feedforward=feedforward, feedback=feedback, backend="cupy", **options)[0]


def workloads() -> Iterator[Workload]:
    """Make the workloads one by one, since each holds much memory."""
    generator = torch.Generator("cuda").manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device="cuda")

    def make(name: str, x: torch.Tensor, b: Any, a: Any, moved: tuple[int, int], bandwidth: str) -> Workload:
        leaves = tuple(t.requires_grad_() for t in (x, b, a) if t is not None)
        return Workload(name, call(x, b, a), leaves, *moved, bandwidth)

    batch, channels, length = SIZES["W1 forum"]
    y = batch * channels * length * 4
    b, a = noise(channels, 3), poles(channels, generator)
    yield make("W1 forum", noise(batch, 1, length), b, a, (y, y), "write")
    batch, channels, length = SIZES["W2 dense"]
    y = batch * channels * length * 4
    b, a = noise(channels, 3), poles(channels, generator)
    yield make("W2 dense", noise(batch, channels, length), b, a, (2 * y, 3 * y), "copy")
    batch, channels, length = SIZES["W3 long"]
    y = batch * channels * length * 4
    b, a = noise(channels, 3), poles(channels, generator)
    yield make("W3 long", noise(batch, channels, length), b, a, (2 * y, 3 * y), "copy")
    batch, channels, length = SIZES["W4 order 16"]
    y = batch * channels * length * 4
    b, a = noise(channels, 17), 0.9 * torch.nn.functional.normalize(noise(channels, 16), p=1, dim=-1)
    yield make("W4 order 16", noise(batch, 1, length), b, a, (y, y), "write")
    shape = batch, channels, length = SIZES["W5 gated"]
    y = batch * channels * length * 4
    yield make("W5 gated", noise(*shape), None, noise(*shape, 1).sigmoid(), (3 * y, 5 * y), "copy")
    shape = batch, channels, length = SIZES["W8 complex"]
    y = batch * channels * length * 8
    a = (0.95 * torch.exp(1j * noise(channels, 1))).to(torch.complex64)
    yield make("W8 complex", torch.complex(noise(*shape), noise(*shape)), None, a, (2 * y, 3 * y), "copy")


def mismatch(workload: Workload) -> str:
    """Compare the first and the last samples of an example with float64, y in poisoned memory; empty if they agree."""
    x, *_, a = (leaf.detach() for leaf in workload.leaves)
    b = workload.leaves[1].detach() if len(workload.leaves) == 3 else None
    # the allocator gives this memory to y next, so that what is not written shows
    torch.full_like(workload.forward().detach(), torch.nan)
    y = workload.forward().detach()
    if not torch.isfinite(torch.view_as_real(y) if y.is_complex() else y).all():
        return "y is not finite everywhere"
    rows, count = slice(0, 1), CHECKED
    varies = a.ndim == 4
    short = {"feedforward": b, "feedback": a[rows, :, :count] if varies else a, "backend": "reference"}
    wide = {key: _host(value) for key, value in short.items()}
    want, _ = mr.recurrence(_host(x[rows, :, :count]), **wide)
    wrong = (y[rows, :, :count].cpu() - want).abs().max() / want.abs().max()
    if wrong > 1e-4:
        return f"the first samples are off by {float(wrong):.1e}"
    start = y.shape[-1] - count
    p, q = a.shape[-1], 0 if b is None else b.shape[-1] - 1
    state = mr.State(_host(x[rows, :, start - q : start]), _host(y[rows, :, start - p : start]).to(want.dtype))
    wide["feedback"] = _host(a[rows, :, start:]) if varies else wide["feedback"]
    want, _ = mr.recurrence(_host(x[rows, :, start:]), state=state, **wide)
    wrong = (y[rows, :, start:].cpu() - want).abs().max() / want.abs().max()
    return f"the last samples are off by {float(wrong):.1e}" if wrong > 1e-4 else ""


def _host(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().cpu().to(torch.complex128 if value.is_complex() else torch.float64)
