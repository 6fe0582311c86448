"""Recurrences with an activation inside, and coefficients that come at a frame rate: what is computed and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

import multirec as mr
from multirec._nonlinear import envelope, independent, sru
from multirec.backend import Activated, Framed, Problem, Taps

from ..results import Row
from .workloads import tolerances

CHECKED = 1000
"""Samples that are compared with float64 on the host, at the beginning."""
RECURRENT, LEVELS, VOICES = (1024, 32, 256), (32, 128, 16_000), (16, 1, 48_000)
"""Sizes of what recurrent units get (time, examples, channels), of what envelopes follow, and of voices."""
ORDER, HOP = 16, 256
_Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Traffic:
    """The bytes that a call moves at least."""

    forward_bytes: int
    backward_bytes: int
    shared: bool = False

    @property
    def least_bytes(self) -> dict[str, int]:
        """The same by mode."""
        both = self.forward_bytes + self.backward_bytes
        return {"forward": self.forward_bytes, "backward": self.backward_bytes, "forward+backward": both}


class Unit(NamedTuple):
    """A function of tensors, the first of which are signals, along an axis of time; and its problem in a precision."""

    function: Callable[..., Any]
    draw: Callable[[], _Tensors]
    signals: int
    time: int
    problem: Callable[[str], Activated | Framed]
    dtype: torch.dtype = torch.float32

    @property
    def problems(self) -> tuple[Activated | Framed, ...]:
        """What is timed, and what its gradients are checked with."""
        return self.problem(str(self.dtype).removeprefix("torch.")), self.problem("float64")


def noise(*shape: int) -> torch.Tensor:
    """Return numbers on the device, the same in every run."""
    return torch.randn(shape, generator=torch.Generator("cuda").manual_seed(0), device="cuda")


def _indrnn(*tensors: Any, backend: str) -> Any:
    return independent(*tensors, layout="TBC", backend=backend)[0]


def _sru(u: Any, highway: Any, *held: Any, backend: str) -> Any:
    return sru(u, *held, highway=highway, layout="TBC", backend=backend)[0]


def _envelope(*tensors: Any, backend: str) -> Any:
    return envelope(*tensors, backend=backend)[0]


def _voice(x: Any, gain: Any, a: Any, *, backend: str) -> Any:
    # the frames of a part of the samples, and the one that they go to
    frames = -(-x.shape[-1] // HOP) + 1
    parts: dict[str, Any] = {"feedforward": gain[:, :, :frames], "feedback": a[:, :, :frames]}
    return mr.framed_recurrence(x, hop=HOP, backend=backend, **parts)[0]


def _for_indrnn() -> _Tensors:
    return noise(*RECURRENT), noise(RECURRENT[-1], 1).tanh()


def _for_envelope() -> _Tensors:
    attack, release = (noise(2, LEVELS[1]).sigmoid() / 4).unbind(0)
    return noise(*LEVELS), attack.clone(), release.clone()


def _for_sru() -> _Tensors:
    time, batch, channels = RECURRENT
    return noise(time, batch, 3 * channels), noise(*RECURRENT), noise(2, channels), noise(2, channels)


def _for_voice() -> _Tensors:
    batch, channels, length = VOICES
    a = noise(batch, channels, -(-length // HOP), ORDER)
    a = 0.95 * a / a.abs().sum(-1, keepdim=True)
    return noise(*VOICES), noise(*a.shape[:3], 1), a


def _activated(kind: Any, activation: Any, signals: int, layout: Any, sizes: Callable[[], tuple[int, int, int]]) -> Any:
    def problem(dtype: str) -> Activated:
        own: Any = "float64" if dtype == "float64" else "float32"
        dtypes = (dtype,) * signals
        return Activated(kind, activation, 1, 1.0, "torch", "cuda:0", dtypes, own, layout, False, *sizes())

    return problem


def _sizes_of_units() -> tuple[int, int, int]:
    time, batch, channels = RECURRENT
    return batch, channels, time


def _framed(dtype: str) -> Framed:
    batch, channels, length = VOICES
    frames = -(-length // HOP)
    b, a = (Taps(batch, channels, frames, count, dtype) for count in (1, ORDER))
    own: Any = dtype
    sizes = batch, channels, length, channels
    return Framed(Problem("torch", "cuda:0", dtype, dtype, own, "BCT", False, *sizes, b, a), HOP, True)


_SRU = _activated("sru", "identity", 4, "TBC", _sizes_of_units)
_INDRNN = _activated("independent", "tanh", 1, "TBC", _sizes_of_units)
_LEVEL = _activated("envelope", "identity", 1, "BCT", lambda: LEVELS)
UNITS = {
    "IndRNN, TBC": Unit(_indrnn, _for_indrnn, 1, 0, _INDRNN),
    "SRU, TBC": Unit(_sru, _for_sru, 2, 0, _SRU),
    "SRU, TBC, bfloat16": Unit(_sru, _for_sru, 2, 0, _SRU, torch.bfloat16),
    "envelope, BCT": Unit(_envelope, _for_envelope, 1, 2, _LEVEL),
    "frames of order 16": Unit(_voice, _for_voice, 1, 2, _framed),
}


class UnitWorkload:
    """A call and what it is made of, as `Workload` is."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        drawn = (part.to(unit.dtype) if index < unit.signals else part for index, part in enumerate(unit.draw()))
        self.leaves = tuple(part.requires_grad_() for part in drawn)
        size = sum(leaf.numel() * leaf.element_size() for leaf in self.leaves)
        out = self.forward().detach()
        y = out.numel() * out.element_size()
        self.spec = Traffic(size + y, 2 * size + y)

    def forward(self) -> torch.Tensor:
        """Return y."""
        y: torch.Tensor = self._of(self.leaves)
        return y

    def check(self) -> Row:
        """Return the errors, and whether they are as small as they have to be."""
        y, wide = self.forward(), tuple(leaf.detach().double().requires_grad_() for leaf in self.leaves)
        gradient = torch.randn_like(y)
        found = {"y": self._error_of(y)}
        own, again = (torch.autograd.grad(self.forward(), self.leaves, gradient) for _ in range(2))
        found["changed in a second call"] = float(sum(not torch.equal(a, b) for a, b in zip(own, again, strict=True)))
        wanted = torch.autograd.grad(self._of(wide), wide, gradient.double())
        for index, (mine, want) in enumerate(zip(own, wanted, strict=True)):
            found[f"gradient of {index}"] = float((mine - want).norm() / want.norm())
        allowed = tolerances(self.unit.dtype)
        fine = all(error <= allowed[name.partition(" ")[0]] for name, error in found.items())
        return {"mode": "check", "status": "ok" if fine else "wrong", **found}

    def _error_of(self, y: torch.Tensor) -> float:
        """Return the error of the first samples, that the reference computes on the host."""
        axis, count = self.unit.time, min(CHECKED, y.shape[self.unit.time])
        parts = [
            leaf.detach().narrow(axis, 0, count) if index < self.unit.signals else leaf.detach()
            for index, leaf in enumerate(self.leaves)
        ]
        want = self._of(tuple(part.double().cpu().numpy() for part in parts), "reference")
        own = y.detach().narrow(axis, 0, count).double().cpu().numpy()
        return float(abs(own - want).max() / abs(want).max())

    def _of(self, tensors: tuple[Any, ...], backend: str = "cupy") -> Any:
        return self.unit.function(*tensors, backend=backend)
