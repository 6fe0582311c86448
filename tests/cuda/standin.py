"""A computer with a GPU that is none, for `make gpu` to run on: every line of it, before a real GPU sees it.

A program: `python standin.py FOLDER NAMES`. Torch's and CuPy's devices are the CPU, the kernels are the emulated ones,
launched through a driver that is none for torch, through a CuPy that is none for others, and sizes are small. Where
NAMES does not exist, kernels are not computed and their names are written there; else a library of these is built, and
they are computed. Times mean nothing here.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "bench"))
import harness
from cases import BUILT
from emulated import EmulatedDevice, RecordingDevice, build
from standin_driver import fake_driver, kernel_of
from streams import Device
from torch.utils._pytree import tree_leaves

from multirec._core import arrays
from multirec._registry import discovery

BENCH = Path(__file__).parents[2] / "bench"
ON_DEVICE = torch.device("cuda", 0)
launcher = RecordingDevice()
# work is done at once, but for what a cheat gives to a stream
device = Device(time.perf_counter, time.sleep)


class Host(torch.Tensor):
    """A tensor that is not on the device; all others are, whatever torch thinks."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse tensors of both sides, as torch does but where it copies."""
        with torch._C.DisableTorchFunctionSubclass():
            found = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.ndim]
        if func is not torch.Tensor.copy_ and len({isinstance(leaf, Host) for leaf in found}) > 1:
            raise RuntimeError(f"{func.__name__}: Expected all tensors to be on the same device")
        return super().__torch_function__(func, types, args, kwargs or {})


def fake_devices() -> None:
    """Take "cuda" for an argument, and say "cuda" of tensors, of which NumPy cannot see any."""
    tensor, to, numpy = torch.Tensor, torch.Tensor.to, torch.Tensor.numpy

    def seen(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        # inside of an operator, what is made of a Host is none
        if not isinstance(self, Host) and torch._C._is_torch_function_enabled():
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        return numpy(self, *args, **kwargs)

    def moved(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        targets = [str(arg) for arg in args if isinstance(arg, (str, torch.device))]
        # a module names a data type and whether to wait, of which there is often none
        args = tuple(arg for arg in args if not isinstance(arg, (str, torch.device, bool, type(None))))
        self = to(self, *args, **kwargs) if args or kwargs else self
        return self.as_subclass(Host if targets[0] == "cpu" else tensor) if targets else self

    def making(make: Any) -> Any:
        def made(*args: Any, **kwargs: Any) -> Any:
            if str(kwargs.get("device", "")).startswith("cuda"):
                kwargs["device"] = "cpu"
            if make is torch_empty and np.prod(args[0] if isinstance(args[0], (tuple, list)) else args) > 1 << 40:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return make(*args, **kwargs)

        return made

    torch_empty = torch.empty
    names = "empty zeros ones full rand randn as_tensor tensor arange linspace eye"
    for name in names.split():
        setattr(torch, name, making(getattr(torch, name)))
    tensor.device = property(lambda self: torch.device("cpu") if isinstance(self, Host) else ON_DEVICE)
    tensor.to, tensor.cpu = moved, lambda self: self.as_subclass(Host)
    tensor.numpy = tensor.__array__ = seen


class Graph:
    """A graph that was captured and cannot replay."""

    def replay(self) -> None:
        from gpu.items import SkippedError

        raise SkippedError("a stand-in does not replay")


class Generators:
    """Torch's class of random generators, all of them on the CPU."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __call__(self, device: str = "cpu") -> torch.Generator:
        return self._own("cpu")

    def __or__(self, other: Any) -> Any:
        return self._own | other


def fake_torch() -> None:
    """Make torch believe in a device."""
    # threads that wait for each other are no part of what is tried
    torch.set_num_threads(1)
    cuda, generator, from_numpy = torch.cuda, torch.Generator, torch.from_numpy
    for name, value in {
        **device.torch_names(),
        "is_available": lambda: True,
        "is_bf16_supported": lambda *args: True,
        "device_count": lambda: 2,
        "empty_cache": lambda: None,
        "max_memory_allocated": lambda: 0,
        "memory_allocated": lambda: 0,
        "reset_peak_memory_stats": lambda: None,
        "is_current_stream_capturing": lambda: False,
        "graph": lambda graph: contextlib.nullcontext(),
        "CUDAGraph": Graph,
    }.items():
        setattr(cuda, name, value)
    torch._C._cuda_getCurrentRawStream, torch._C._cuda_getDevice = (lambda index: 0), (lambda: 0)
    torch.Generator = Generators(generator)
    torch.from_numpy = lambda array: from_numpy(array).as_subclass(Host)
    fake_devices()


class Ndarray(np.ndarray):
    """CuPy's array: NumPy's, with an address and a device."""

    data = property(lambda self: SimpleNamespace(ptr=self.__array_interface__["data"][0]))
    device = property(lambda self: device.current)


class RawKernel:
    """Launches the emulated kernel that the source ends with."""

    def __init__(self, code: str, entry: str, options: tuple[str, ...]) -> None:
        self._name = kernel_of(code)
        self.kernel = self._launch

    def _launch(self, grid: Any, block: Any, arguments: Any, shared: int, stream: Any) -> None:
        (value,) = arguments
        launcher.launch(self._name, grid[0], block[0], shared, value.tobytes())


def fake_cupy() -> None:
    """Put a module in CuPy's place that is NumPy's with CuPy's names for a device."""

    def own(function: Any) -> Any:
        return lambda *args, **kwargs: np.asarray(function(*args, **kwargs)).view(Ndarray)

    def empty(shape: Any, dtype: Any) -> Any:
        if np.prod(shape) > 1 << 40:
            raise MemoryError
        return np.full(shape, np.nan, dtype).view(Ndarray)

    cupy = ModuleType("cupy")
    making = ("asarray", "zeros", "ones", "full", "array", "concatenate", "ascontiguousarray", "broadcast_to")
    names = {name: own(getattr(np, name)) for name in making}
    cupy.__dict__.update(
        names,
        __version__="14.2.0",
        ndarray=Ndarray,
        float32=np.float32,
        empty=empty,
        asnumpy=np.array,
        lib=SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=own(np.lib.stride_tricks.as_strided))),
        get_default_memory_pool=lambda: SimpleNamespace(free_all_blocks=lambda: None),
        from_dlpack=own(lambda array: array.as_subclass(Host).numpy() if isinstance(array, torch.Tensor) else array),
        RawKernel=RawKernel,
        cuda=SimpleNamespace(
            Device=lambda index: device.current,
            Stream=device.stream,
            get_current_stream=lambda index: device.current,
            compiler=SimpleNamespace(CompileException=SyntaxError),
            memory=SimpleNamespace(OutOfMemoryError=MemoryError),
            set_allocator=lambda allocator: None,
            runtime=SimpleNamespace(
                getDevice=lambda: 0,
                getDeviceCount=lambda: 1,
                getDeviceProperties=lambda index: {"name": b"NVIDIA H200"},
                driverGetVersion=lambda: 13000,
                runtimeGetVersion=lambda: 13000,
                deviceSynchronize=lambda: None,
                CUDARuntimeError=RuntimeError,
            ),
        ),
    )
    sys.modules["cupy"] = cupy
    for name in ("cupyx", "cupyx.scipy"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__spec__ = ModuleSpec(name, None)
    sys.modules["cupyx.scipy.signal"] = SimpleNamespace(lfilter=own(_lfilter))


def fake_scans() -> None:
    """Put packages in place of other people's scans, that loop over time."""
    scan = ModuleType("accelerated_scan.scalar")
    scan.scan = lambda gates, x: _looped(x, gates, -1)
    fla = ModuleType("fla.ops.hgrn")
    fla.chunk_hgrn = fla.fused_recurrent_hgrn = lambda x, logarithms: (_looped(x, logarithms.exp(), 1), None)
    for name in ("accelerated_scan", "accelerated_scan.warp", "fla", "fla.ops"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__spec__ = ModuleSpec(name, None)
    sys.modules["accelerated_scan.warp"].scan = scan.scan
    sys.modules |= {module.__name__: module for module in (scan, fla)}


def _looped(x: torch.Tensor, gates: torch.Tensor, axis: int) -> torch.Tensor:
    found = [torch.zeros_like(x.select(axis, 0))]
    for now, gate in zip(x.unbind(axis), gates.unbind(axis), strict=True):
        found.append(gate * found[-1] + now)
    return torch.stack(found[1:], axis)


def _lfilter(b: Any, a: Any, x: Any) -> Any:
    from scipy.signal import lfilter

    return lfilter(b, a, x).astype(x.dtype)


def fake_multirec() -> None:
    """Let arrays of the stand-in be CuPy's, and the backend have the kernels that are built."""
    import jax

    fake_driver(lambda *launch: launcher.launch(*launch))
    from multirec_backends.cupy import _device

    devices = jax.devices()
    jax.default_backend, jax.devices = lambda: "gpu", lambda *platform: devices
    jax.dlpack.from_dlpack = lambda array: jax.numpy.array(np.asarray(array))
    arrays._jax_device = lambda array: "cuda:0"
    find = arrays._find_family
    arrays._find_family = lambda array, *about: "cupy" if type(array) is Ndarray else find(array, *about)
    _device.CudaDevice.has = lambda self, kernel: kernel in BUILT
    installed = discovery._is_installed
    discovery._is_installed = lambda module: module == "cupy" or installed(module)


def small() -> None:
    """Make the benchmark's problems small, and its checks few."""
    from gpu.steps import (
        benchmark,
        compiling,
        conformance,
        faults,
        host,
        kernels,
        layers,
        peers,
        scans,
        specs,
        timing,
        units,
        workloads,
    )

    from multirec.bench.measure import limits

    for items in (specs.WORKLOADS, specs.SWEEP):
        for name, spec in items.items():
            sizes = {"W1 biquads": (2, 3, 600), "W3 long": (2, 1, 4200)}.get(name, (1, 3, 240))
            items[name] = replace(spec, **dict(zip(("batch", "channels", "length"), sizes, strict=True)))
            benchmark.ITEMS[name] = partial(benchmark.measured, items[name], 0.0)
    peers.WORKLOADS, scans.W5 = specs.WORKLOADS, specs.WORKLOADS["W5 gated"]
    layers.BANK, layers.CHANNELS, layers.RECURRENT = (1, 100), 3, (40, 2, 8)
    host.CHUNK = replace(host.CHUNK, channels=3, length=40)
    workloads.CHECKED = units.CHECKED = 200
    units.RECURRENT, units.LEVELS, units.VOICES, units.ORDER = (70, 2, 20), (2, 3, 90), (2, 1, 700), 3
    for name, unit in units.UNITS.items():
        benchmark.ITEMS[name] = partial(benchmark.measured, unit, 0.0)
    # threads of an emulated kernel take turns
    faults.MOST_SECONDS = 1e3
    faults.MANY_CHANNELS, faults.MANY_ELEMENTS = 11, (5, 40)
    checks_of = conformance.checks_of
    conformance.ITEMS = {name: item for name, item in conformance.ITEMS.items() if name.endswith(" float32")}
    conformance.checks_of = lambda subject: checks_of(subject)[:2]
    few = (*kernels.SMALL[1:4], {"sizes": (3, 37, 40)})
    kernels.ITEMS = {str(case): kernels.ITEMS.get(str(case), partial(kernels.check, case)) for case in few}
    kernels.ITEMS |= {f"{name} 0": partial(kernels.check_other, name, 0) for name in kernels.OTHERS}
    kernels.SMALL, compiling.SMALL, compiling.LARGER = few, few, ()
    compiling.OTHERS = {name: (make, cases[:1]) for name, (make, cases) in kernels.OTHERS.items()}
    compiling.ProcessPoolExecutor = lambda workers, mp_context: ThreadPoolExecutor(1)
    timing.bandwidths.__defaults__ = (1 << 12,)
    device_times, host_times, wall_times = timing.device_times, timing.host_times, timing.wall_times
    timing.device_times = lambda work, seconds=0.0, most=2: device_times(work, 0.0, 2)
    timing.host_times = lambda work, count=20: host_times(work, 20)
    timing.wall_times = lambda work: wall_times(work, 2, 2)
    # other work on this machine may have the processor for so long
    limits._ENDING = 1.0
    faults.subprocess = SimpleNamespace(check_output=_printed)


def _printed(command: list[str], **_: Any) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(command[-1], {})
    return printed.getvalue()


def in_process(command: list[str], limit: float, log: Path) -> int:
    """Run what `make gpu` would run in a process of its own."""
    module, *arguments = command[command.index("-m") + 1 :]
    sys.argv, before = [module, *arguments], sys.argv
    code: Any = 0
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    sys.argv = before
    return int(code or 0)


def main(folder: str, names: Path) -> None:
    """Run all of `make gpu`; its results lie in FOLDER."""
    global launcher
    if names.exists():
        launcher = EmulatedDevice(build(set(names.read_text().split("\n")), flags=()))
    sys.path.insert(0, str(BENCH))
    fake_cupy()
    fake_scans()
    fake_torch()
    fake_multirec()
    small()
    from gpu import run
    from gpu.steps import workloads

    if not names.exists():
        errors = workloads.Workload.errors
        workloads.Workload.errors = lambda self: dict.fromkeys(errors(self), 0.0)
    run.attempt, run.device_name = in_process, lambda: "NVIDIA H200"
    run.STEPS = dict.fromkeys(run.STEPS, (1e4, 1e4))
    run.SECONDS = 1e4
    run.shutil = SimpleNamespace(which=lambda name: "/stand-in/" + name)
    sys.argv = ["gpu", "--results", folder]
    code = run.main()
    harness.bench(Path(folder), device)
    if not names.exists():
        names.write_text("\n".join(sorted(set(launcher.launched))))
    print(f"exit code {code}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
