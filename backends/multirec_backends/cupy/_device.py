"""The GPU: each array library's stream and memory, and what launches kernels for it."""

from __future__ import annotations

import importlib
from typing import Any

from multirec.backend import Activated, Probe, Problem, no_fork

from . import OLDEST_CUPY
from ._kernel import Kernel
from ._launch.kernels import Kernels
from ._launch.toolkit import find
from ._launch.with_torch import TorchQueue
from ._program import Queue


class CudaDevice:
    """Every GPU of this machine."""

    def __init__(self) -> None:
        self._own: Kernels | None = None
        self._cupy: Any = None
        self._is_known = False

    def has(self, kernel: str) -> bool:
        return True

    def queue(self, problem: Problem | Activated) -> Queue:
        index = int(problem.device.partition(":")[2] or 0)
        own = self.own if problem.family == "torch" else None
        if own is not None:
            return TorchQueue(own, index)
        # imported here: torch's users need no CuPy
        through = importlib.import_module("._launch.with_cupy", __package__)
        with no_fork:
            self._cupy = self._cupy or through.Kernels()
        queue: Queue = (through.TorchQueue if problem.family == "torch" else through.CupyQueue)(self._cupy, index)
        return queue

    @property
    def own(self) -> Kernels | None:
        """The kernels that are launched without CuPy, for torch; None where there is no NVRTC for it."""
        if not self._is_known:
            with no_fork:
                toolkit = find()
                self._own = toolkit and Kernels(toolkit)
                self._is_known = True
        return self._own


class CudaKernel(Kernel):
    """The kernels of a device, which say what launches them."""

    def __init__(self, device: CudaDevice) -> None:
        super().__init__(device)
        self._gpu = device

    def probe(self) -> Probe | None:
        """Say what launches for torch, and for others, and on which devices; None where it is CuPy for all."""
        own = self._gpu.own
        if own is None:
            return None
        found = own.probe()
        try:
            cupy = importlib.import_module("cupy")
        except ImportError:
            return found
        if int(cupy.__version__.partition(".")[0]) < OLDEST_CUPY:
            return found
        return found._replace(version=f"{found.version} for torch, CuPy {cupy.__version__} for others")


kernel = CudaKernel(CudaDevice())
