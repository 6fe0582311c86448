"""What a row is, and what calls of all rows are made of: fills, copies, and steps of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

Call = Callable[[], object]
LAYOUTS = ("BCT", "BTC", "TBC")


@dataclass
class Row:
    """One workload in one layout: `forward` and `both` (forward and backward) by name of contestant.

    `limit` is memory traffic alone: to memory that is there already, where it does not say fresh.
    """

    about: str
    forward: dict[str, Call] = field(default_factory=dict)
    both: dict[str, Call] = field(default_factory=dict)


def placed(array: np.ndarray, layout: str) -> np.ndarray:
    """Return an array (B, C, T), and taps last where there are such, with the axes of a layout, contiguous."""
    order = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    return np.ascontiguousarray(array.transpose(*order, *range(3, array.ndim)))


def noise(shape: tuple[int, ...], layout: str, seed: int) -> np.ndarray:
    """Return noise whose shape is given as (B, C, T), in a layout."""
    return placed(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32), layout)


def stable_biquads(channels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return band-pass designs (b, a) of SciPy's form, poles between 0.9 and 0.99."""
    rng = np.random.default_rng(seed)
    radius, angle = 0.9 + 0.09 * rng.random(channels), 0.05 + 3.0 * rng.random(channels)
    a = np.stack([np.ones(channels), -2 * radius * np.cos(angle), radius**2], -1)
    b = np.stack([1 - radius, np.zeros(channels), radius - 1], -1)
    return b.astype(np.float32), a.astype(np.float32)


def fill(shape: tuple[int, ...], dtype: Any = np.float32) -> Call:
    return lambda: np.empty(shape, dtype).fill(1)


def warm_fill(shape: tuple[int, ...]) -> Call:
    target = torch.empty(shape)
    return lambda: target.fill_(1)


def copy(source: np.ndarray) -> Call:
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)


def fresh_copy(source: np.ndarray) -> Call:
    return lambda: np.copyto(np.empty_like(source), source)


def leaves(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array)).requires_grad_() for array in arrays]


def quiet(call: Callable[..., object], *arguments: Any) -> Call:
    def run() -> None:
        with torch.no_grad():
            call(*arguments)

    return run


def train(call: Callable[..., torch.Tensor], inputs: list[torch.Tensor], grad: torch.Tensor) -> Call:
    def step() -> None:
        torch.autograd.grad(call(*inputs), inputs, grad)

    return step
