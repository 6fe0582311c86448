"""The yardstick: a copy of warm memory on the same device, in the same rounds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from multirec._threads import num_threads
from multirec.bench._case import Case, Mode, Signals

from .base import Contestant, Outputs
from .torch_based import TorchContestant

COPY_BYTES = 1 << 28


def copied_bytes(case: Case) -> int:
    """Return how many bytes the yardstick copies: as many as y has, up to 256 MiB."""
    return min(case.y_bytes, COPY_BYTES)


class Memcpy(Contestant):
    """A copy by as many threads as kernels may use."""

    name = "memcpy"
    summary = "a copy of warm memory"

    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        size = min(signals.x.nbytes * len(signals.b), COPY_BYTES)
        source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
        threads = num_threads()
        pieces = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
        if size < 1 << 20:
            return lambda: np.copyto(target, source)
        pool = ThreadPoolExecutor(threads)
        return lambda: list(pool.map(lambda piece: np.copyto(*piece), pieces))

    def outputs(self, result: Any) -> Outputs:
        return {}


class GpuMemcpy(TorchContestant):
    """A copy in the memory of the GPU."""

    name = "memcpy_gpu"
    summary = "a copy of device memory"
    devices = ("cuda",)

    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        import torch

        size = min(signals.x.nbytes * len(signals.b), COPY_BYTES)
        source = torch.ones(size, dtype=torch.uint8, device="cuda")
        target = torch.zeros_like(source)

        def copy() -> None:
            target.copy_(source)
            torch.cuda.synchronize()

        return copy

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        raise NotImplementedError
