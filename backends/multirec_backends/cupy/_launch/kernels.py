"""Kernels of torch's launcher: compiled by NVRTC, kept on disk, loaded by the driver."""

from __future__ import annotations

from typing import Any

from multirec.backend import Probe, no_fork
from multirec.errors import BackendBrokenError

from .._source import ENTRY, OPTIONS, whole_source
from . import cubins
from .driver import CudaError, Driver, NoDriverError
from .nvrtc import CompileError, Nvrtc
from .toolkit import Toolkit, dotted

_OPTIONS = (*OPTIONS, "-ftz=true")
"""CuPy says the same, after all that it is told: so both launchers give the same bits."""
_ELF = b"\x7fELF"
"""How a cubin begins; PTX is text."""


class Kernels:
    """Compiled kernels by name and device.

    None is unloaded while the process lives: a captured graph may hold it.
    """

    def __init__(self, toolkit: Toolkit) -> None:
        self.toolkit = toolkit
        self._functions: dict[tuple[str, int], Any] = {}
        self._refused: set[str] = set()
        self._nvrtc: Nvrtc | None = None
        self._driver: Driver | None = None

    @property
    def driver(self) -> Driver:
        """The driver, begun when it is first asked for."""
        if self._driver is None:
            with no_fork:
                self._driver = self._driver or Driver(self.toolkit.bindings)
        return self._driver

    @property
    def nvrtc(self) -> Nvrtc:
        """NVRTC, loaded when it is first asked for."""
        if self._nvrtc is None:
            with no_fork:
                self._nvrtc = self._nvrtc or Nvrtc(self.toolkit)
        return self._nvrtc

    def get(self, name: str, device: int) -> Any:
        """Return a kernel of a device, as the driver launches it."""
        found = self._functions.get((name, device))
        if found is None:
            with no_fork:
                found = self._functions.get((name, device)) or self._load(name, device)
                self._functions[name, device] = found
        return found

    def _load(self, name: str, device: int) -> Any:
        if name in self._refused:
            raise BackendBrokenError(f"backend 'cupy': kernel {name} did not compile; the log came with its first use.")
        source, capability = whole_source(name), self.driver.capability(device)
        # what NVRTC says of itself is not asked for: where all kernels are on disk, it is not even loaded
        path = cubins.path_of(source, _OPTIONS, capability, *self.toolkit.key())
        image = cubins.read(path)
        if image is None:
            image = self._compile(name, source, capability)
            cubins.write(path, image)
        try:
            return self.driver.load(device, image, ENTRY)
        except CudaError as error:
            fault = self._too_old(self.toolkit.version, not image.startswith(_ELF))
            if fault is None:
                raise
            raise BackendBrokenError(f"backend 'cupy': {fault[0]}, so {error}. {fault[1]}") from error

    def _compile(self, name: str, source: str, capability: tuple[int, int]) -> bytes:
        target = self.nvrtc.target(capability)
        fault = self._too_old(self.nvrtc.version, target.startswith("compute_"))
        if fault is not None:
            raise BackendBrokenError(f"backend 'cupy': {fault[0]}. {fault[1]}")
        try:
            return self.nvrtc.compile(source, target, _OPTIONS)
        except CompileError as error:
            self._refused.add(name)
            raise BackendBrokenError(f"backend 'cupy': kernel {name} does not compile:\n{error}") from None

    def _too_old(self, compiled: tuple[int, ...], to_ptx: bool = False) -> tuple[str, str] | None:
        """Say why the driver does not load what NVRTC compiles, and what to do; or nothing."""
        supported = self.driver.version
        # code of a device runs on every driver of the same major version; PTX on none that is older than it
        if supported >= (compiled if to_ptx else compiled[:1]):
            return None
        reason = f"the driver supports CUDA {dotted(supported)}, and {self.toolkit.owner} NVRTC is {dotted(compiled)}"
        return reason, f"Install a driver for CUDA {dotted(compiled)}, or torch for the CUDA that the driver supports."

    def probe(self) -> Probe:
        """Say what launches, and whether it can."""
        words = str(self.toolkit._replace(version=self.nvrtc.version))
        try:
            count = self.driver.count
        except NoDriverError as error:
            fix = "Install NVIDIA's driver, or repair it: nvidia-smi says whether it works."
            return Probe(words, (), str(error), fix)
        fault = self._too_old(self.nvrtc.version)
        return Probe(words, (), *fault) if fault else Probe(words, ("cuda",) if count else ())
