"""The workloads on the device: what is computed, and how it is checked."""

from __future__ import annotations

from math import inf
from typing import Any

import torch

import multirec as mr

from .specs import Spec, wide

CHECKED = 2000
"""Samples that are compared with float64 on the host, at both ends."""
_HALF = (torch.bfloat16, torch.float16)
_TOLERANCES = {"y": 1e-4, "gradient": 1e-3, "changed": 0.0}
_OF_HALF = {"y": 1e-2, "gradient": 2e-2, "changed": 0.0}
_AXES = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}


class Workload:
    """A call and what it is made of."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        generator = torch.Generator("cuda").manual_seed(0)
        batch, channels, length = spec.batch, spec.channels, spec.length
        drawn = torch.float32 if spec.dtype in _HALF else spec.dtype
        order = _AXES[spec.layout]
        # of a layout's axes, where examples, channels and time are
        self._places = tuple(order.index(axis) for axis in range(3))

        def noise(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, device="cuda", dtype=drawn)

        x = noise(batch, 1 if spec.shared else channels, length + spec.sliced).to(spec.dtype)
        x = x.permute(order).contiguous()
        self.x = x.narrow(order.index(2), int(spec.sliced), length).requires_grad_()
        self.b = noise(channels, spec.taps).requires_grad_() if spec.taps else None
        if spec.varies:
            # together less than 1, so that no sequence of them grows
            a = noise(batch, channels, length, spec.order).sigmoid().permute(*order, 3).contiguous() / spec.order
        elif spec.order == 2:
            radius, angle = 0.9 + 0.09 * noise(channels).sigmoid(), 3 * noise(channels).sigmoid()
            a = torch.stack([2 * radius * angle.cos(), -radius.square()], -1)
        else:
            a = noise(channels, spec.order)
            a = 0.95 * a / a.abs().sum(-1, keepdim=True)
        self.a = a.requires_grad_() if spec.order else None
        self.resets = None
        if spec.resets:
            begins = torch.rand((batch, length), generator=generator, device="cuda") < 1 / spec.resets
            self.resets = begins.T.contiguous() if spec.layout == "TBC" else begins

    @property
    def leaves(self) -> tuple[torch.Tensor, ...]:
        """What gradients are wanted of."""
        return tuple(leaf for leaf in (self.x, self.b, self.a) if leaf is not None)

    def forward(self) -> torch.Tensor:
        """Return y."""
        return self._call(self.x, self.b, self.a)

    def check(self) -> dict[str, Any]:
        """Return the errors, and whether they are as small as they have to be.

        y's largest error is over its largest value; gradients are compared by their norms.
        """
        allowed = tolerances(self.spec.dtype)
        errors = self.errors()
        fine = all(error <= allowed[name.partition(" ")[0]] for name, error in errors.items())
        return {"mode": "check", "status": "ok" if fine else "wrong", **errors}

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
        """Return the error of a part of the first example, of which y says the past."""
        start, stop, _ = part.indices(self.spec.length)
        # NumPy's, of which sequences are cut up on the host
        x, found = (_host(value.permute(self._places)[:1]).numpy() for value in (self.x, y))
        b, a = (None if leaf is None else _host(leaf).numpy() for leaf in (self.b, self.a))
        p, q = self.spec.order, max(self.spec.taps - 1, 0)
        state = mr.State(x[..., start - q : start], found[..., start - p : start]) if start else None
        if self.spec.varies and a is not None:
            a = a.transpose(*self._places, 3)[:1, :, start:stop]
        resets = None
        if self.resets is not None:
            row = self.resets[:, :1].T if self.spec.layout == "TBC" else self.resets[:1]
            resets = row[:, start:stop].cpu().numpy()
        x = x[..., start:stop]
        want, _ = mr.recurrence(x, feedforward=b, feedback=a, state=state, resets=resets, backend="reference")
        return float(abs(found[..., start:stop] - want).max() / abs(want).max())

    def _call(self, x: Any, b: Any, a: Any) -> torch.Tensor:
        choices: Any = {"layout": self.spec.layout, "resets": self.resets, "backend": "cupy"}
        y: torch.Tensor = mr.recurrence(x, feedforward=b, feedback=a, **choices)[0]
        return y


def tolerances(dtype: torch.dtype) -> dict[str, float]:
    """Return the largest errors that are allowed, by the first word of what errs."""
    return _OF_HALF if dtype in _HALF else _TOLERANCES


def _host(value: torch.Tensor) -> torch.Tensor:
    return value.detach().cpu().to(wide(value.dtype))
