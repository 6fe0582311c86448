"""The workloads on the device: what is computed, how it is checked, and the traffic that it needs at least."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch

import multirec as mr
from multirec._core.problem import in_precision, real_precision
from multirec.backend import Problem, Taps

CHECKED = 2000
"""Samples that are compared with float64 on the host, at both ends."""
TOLERANCES = {"y": 1e-4, "gradient": 1e-3, "changed": 0.0}
"""The largest error over the largest value; of gradients, against float64 on the device, by norms; of a second call."""


@dataclass(frozen=True)
class Spec:
    """The sizes of y, the taps, and what is special: a shared input, feedback that varies, a data type."""

    batch: int
    channels: int
    length: int
    order: int = 2
    taps: int = 3
    shared: bool = False
    varies: bool = False
    dtype: torch.dtype = torch.float32
    layout: Any = "BCT"

    @property
    def forward_bytes(self) -> int:
        """What a forward call moves at least: y, and x and feedback where they are as large."""
        return self._y_bytes * (1 + (not self.shared) + self.varies)

    @property
    def backward_bytes(self) -> int:
        """What a backward call moves at least: y's gradient; x and its gradient; feedback and its gradient."""
        return self._y_bytes * (1 + 2 * (not self.shared) + 2 * self.varies)

    @property
    def problems(self) -> tuple[Problem, Problem]:
        """The problem in the workload's data type, and in the one that its gradients are checked in."""
        return self._problem(_name(self.dtype)), self._problem(_name(wide(self.dtype)))

    def _problem(self, dtype: str) -> Problem:
        real = real_precision(dtype)
        taps = in_precision(dtype, real)
        b = Taps(1, self.channels, 1, self.taps, taps) if self.taps else None
        a = Taps(1, self.channels, 1, self.order, taps)
        if self.varies:
            a = replace(a, batch=self.batch, time=self.length)
        x_channels = 1 if self.shared else self.channels
        sizes = (self.batch, self.channels, self.length, x_channels)
        return Problem("torch", "cuda:0", dtype, dtype, real, self.layout, False, *sizes, b, a if self.order else None)

    @property
    def _y_bytes(self) -> int:
        return self.batch * self.channels * self.length * self.dtype.itemsize


WORKLOADS = {
    "W1 biquads": Spec(32, 128, 16_000, shared=True),
    "W2 dense": Spec(32, 128, 16_000),
    "W3 long": Spec(2, 1, 10_000_000),
    "W4 order 16": Spec(16, 32, 48_000, order=16, taps=17, shared=True),
    "W5 gated": Spec(8, 1024, 4096, order=1, taps=0, varies=True),
    "W8 complex": Spec(8, 256, 4096, order=1, taps=0, dtype=torch.complex64),
}
_W1 = WORKLOADS["W1 biquads"]
SWEEP = {
    "order 1, no feedforward": replace(_W1, order=1, taps=0),
    "order 4": replace(_W1, order=4),
    "order 8": replace(_W1, order=8),
    "FIR": replace(_W1, order=0),
    "T odd": replace(_W1, length=15_999),
    "BTC": replace(_W1, layout="BTC"),
    "TBC": replace(_W1, layout="TBC"),
    "float64": replace(_W1, dtype=torch.float64),
    "bfloat16": replace(_W1, dtype=torch.bfloat16),
    "32 rows": replace(_W1, batch=2, channels=16, length=2_000_000),
}
"""W1 with one thing changed, to see what its time depends on."""


class Workload:
    """A call and what it is made of."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        generator = torch.Generator("cuda").manual_seed(0)
        batch, channels, length = spec.batch, spec.channels, spec.length
        drawn = torch.float32 if spec.dtype in (torch.bfloat16, torch.float16) else spec.dtype

        def noise(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, device="cuda", dtype=drawn)

        x = noise(batch, 1 if spec.shared else channels, length).to(spec.dtype)
        order = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[spec.layout]
        self.x = x.permute(order).contiguous().requires_grad_()
        self.b = noise(channels, spec.taps).requires_grad_() if spec.taps else None
        if spec.varies:
            a = noise(batch, channels, length, 1).sigmoid()
        elif spec.order == 2:
            radius, angle = 0.9 + 0.09 * noise(channels).sigmoid(), 3 * noise(channels).sigmoid()
            a = torch.stack([2 * radius * angle.cos(), -radius.square()], -1)
        else:
            a = noise(channels, spec.order)
            a = 0.95 * a / a.abs().sum(-1, keepdim=True)
        self.a = a.requires_grad_() if spec.order else None

    @property
    def leaves(self) -> tuple[torch.Tensor, ...]:
        """What gradients are wanted of."""
        return tuple(leaf for leaf in (self.x, self.b, self.a) if leaf is not None)

    def forward(self) -> torch.Tensor:
        """Return y."""
        return self._call(self.x, self.b, self.a)

    def errors(self) -> dict[str, float]:
        """Return how far y and the gradients are from float64: y's ends on the host, the rest on the device.

        Also how many gradients a second call changes.
        """
        # the allocator gives this memory to y next, so that what is not written shows
        self.forward().detach().fill_(torch.nan)
        y = self.forward()
        ends = (slice(0, CHECKED), slice(-CHECKED, None))
        found = {"y": max(self._error_of(y, end) for end in ends) if torch.isfinite(y.abs()).all() else inf}
        gradient = torch.randn_like(y)
        own = torch.autograd.grad(y, self.leaves, gradient)
        again = torch.autograd.grad(self.forward(), self.leaves, gradient)
        found["changed in a second call"] = float(sum(not torch.equal(a, b) for a, b in zip(own, again, strict=True)))
        kind = wide(self.spec.dtype)
        leaves = [
            None if leaf is None else leaf.detach().to(kind).requires_grad_() for leaf in (self.x, self.b, self.a)
        ]
        wanted = torch.autograd.grad(
            self._call(*leaves), [leaf for leaf in leaves if leaf is not None], gradient.to(kind)
        )
        names = [name for name, leaf in zip(("x", "b", "a"), leaves, strict=True) if leaf is not None]
        for name, mine, want in zip(names, own, wanted, strict=True):
            found[f"gradient of {name}"] = float((mine - want).norm() / want.norm())
        return found

    def _error_of(self, y: torch.Tensor, part: slice) -> float:
        """Return the error of a part of the first example, of which y says the past; layout BCT."""
        length = self.spec.length
        start, stop, _ = part.indices(length)
        leaves: list[Any] = [None if leaf is None else _host(leaf) for leaf in (self.x[:1], self.b, self.a)]
        x, b, a = leaves
        p, q = self.spec.order, max(self.spec.taps - 1, 0)
        state = None
        if start:
            state = mr.State(x[..., start - q : start], _host(y[:1, :, start - p : start]))
        if self.spec.varies:
            a = a[:1, :, start:stop]
        want, _ = mr.recurrence(x[..., start:stop], feedforward=b, feedback=a, state=state, backend="reference")
        return float((_host(y[:1, :, start:stop]) - want).abs().max() / want.abs().max())

    def _call(self, x: Any, b: Any, a: Any) -> torch.Tensor:
        y: torch.Tensor = mr.recurrence(x, feedforward=b, feedback=a, layout=self.spec.layout, backend="cupy")[0]
        return y


def _host(value: torch.Tensor) -> torch.Tensor:
    return value.detach().cpu().to(wide(value.dtype))


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the data type that results are checked in."""
    return torch.complex128 if dtype.is_complex else torch.float64


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
