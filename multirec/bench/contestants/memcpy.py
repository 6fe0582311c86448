"""The limit that times are held to: a copy of warm memory on the same device, in the same rounds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from multirec._machine.threads import num_threads

from ..cases.case import Case, Mode
from ..cases.signals import Outputs, Signals
from .base import Contestant, Run
from .torch_based import Function, TorchContestant

_MOST = 1 << 28
# a smaller copy measures a cache, and starting threads
_LEAST = 1 << 24


def copied_bytes(case: Case) -> int:
    """Return how many bytes are copied: as many as y has, within 16 and 256 MiB."""
    return max(_LEAST, min(case.y_bytes, _MOST))


class Memcpy(Contestant):
    """A copy by as many threads as kernels may use."""

    name = "memcpy"
    summary = "a copy of warm memory"

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        size = copied_bytes(case)
        source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
        threads = num_threads()
        pieces = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
        pool = ThreadPoolExecutor(threads)
        return lambda: list(pool.map(lambda piece: np.copyto(*piece), pieces))

    def outputs(self, result: Any) -> Outputs:
        return {}


class GpuMemcpy(TorchContestant):
    """A copy in the memory of the GPU."""

    name = "memcpy_gpu"
    summary = "a copy of device memory"
    devices = ("cuda",)

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        import torch

        source = torch.ones(copied_bytes(case), dtype=torch.uint8, device="cuda")
        self.changing = (None, None)
        target = torch.zeros_like(source)
        return lambda: target.copy_(source)

    def function(self, case: Case, state: Any) -> Function:
        raise NotImplementedError
