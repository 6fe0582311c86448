"""The part that talks to CuPy, with a stand-in for CuPy: compiling, launching, devices, and absent drivers."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from emulated import RecordingDevice
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._pack import View

import multirec as mr
from multirec._registry.probe import status_of
from multirec._registry.registry import registry
from multirec.backend import Needs, Operands, Problem, Taps
from multirec.errors import BackendBrokenError


class CompileError(Exception):
    pass


class DriverError(RuntimeError):
    pass


class FakeCupy(SimpleNamespace):
    """Records what is compiled and launched; device 0 is current."""

    def __init__(self) -> None:
        self.current, self.compiled, self.launched, self.log, self.count = 0, [], [], "", 1
        self.kind = CompileError
        runtime = SimpleNamespace(
            getDevice=lambda: self.current, getDeviceCount=self.device_count, CUDARuntimeError=DriverError
        )
        super().__init__(
            ndarray=type("ndarray", (), {}),
            cuda=SimpleNamespace(
                runtime=runtime,
                compiler=SimpleNamespace(CompileException=CompileError),
                Device=self.device,
                get_current_stream=lambda index: SimpleNamespace(ptr=1000 + index),
            ),
        )

    def device_count(self) -> int:
        if isinstance(self.count, Exception):
            raise self.count
        return self.count

    @contextmanager
    def device(self, index):
        before, self.current = self.current, index
        yield
        self.current = before

    def RawKernel(self, code, name, options=()):
        fake = self

        class Raw:
            @property
            def kernel(self):
                fake.compiled.append(code)
                if fake.log:
                    raise fake.kind(fake.log)

                def launch(grid, block, args, shared, stream):
                    fake.launched.append((grid, block, args[0].size, args[0].nbytes, shared, stream.ptr, fake.current))

                return launch

        return Raw()


@pytest.fixture
def cupy(monkeypatch):
    fake = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.delitem(sys.modules, "multirec_backends.cupy._device", raising=False)
    registry.look_again()
    yield fake
    registry.look_again()
    sys.modules.pop("multirec_backends.cupy._device", None)


def array(*shape):
    values = np.zeros(shape, np.float32)
    strides = values.strides
    return SimpleNamespace(shape=shape, itemsize=4, strides=strides, data=SimpleNamespace(ptr=1 << 40))


def run(device="cuda:0", length=700, channels=3):
    taps = Taps(1, channels, 1, 2, "float32")
    dtypes = ("float32",) * 3
    problem = Problem("cupy", device, *dtypes, "BCT", False, 2, channels, length, channels, None, taps)
    kernel = importlib.import_module("multirec_backends.cupy._device").kernel
    operands = Operands(array(2, channels, length), None, array(1, channels, 1, 2), None, None)
    return kernel.forward(problem, operands, lambda channels, dtype: array(2, channels, length))


def test_a_kernel_is_compiled_once_and_launched_with_its_arguments_by_value(cupy):
    for length in (700, 701, 700):
        run(length=length)
    assert len(cupy.compiled) == 1
    assert "forward<float,float,float,float,2,0,false,false,128>(p)" in cupy.compiled[0]
    (grid, block, elements, size, _shared, stream, device), *_ = cupy.launched
    assert (grid, block, stream, device) == ((2,), (128,), 1000, 0)
    assert elements == 1
    assert size == 8 * (15 + 10 * 5 + 4 * 6 + 6)


def test_a_second_gpu_is_guarded(cupy):
    run("cuda:1")
    run("cuda:0")
    assert [launched[-2:] for launched in cupy.launched] == [(1001, 1), (1000, 0)]
    assert cupy.current == 0
    assert len(cupy.compiled) == 2


class OnDevice:
    """An array of CuPy's on a device: what is made anew is on the current one."""

    def __init__(self, values, device):
        self.values, self.device = values, SimpleNamespace(id=device)
        self.data = SimpleNamespace(ptr=values.__array_interface__["data"][0])
        self.real = self

    def __getattr__(self, name):
        return getattr(self.values, name)

    def __getitem__(self, key):
        return OnDevice(self.values[key], self.device.id)

    def reshape(self, shape):
        return OnDevice(self.values.reshape(shape), self.device.id)

    def copy(self):
        return OnDevice(self.values.copy(), sys.modules["cupy"].current)


OnDevice.__module__ = "cupy"


def test_all_that_a_call_makes_is_on_the_device_of_its_arrays(cupy):
    cupy.ndarray, cupy.ascontiguousarray = OnDevice, lambda array: array
    cupy.empty = lambda shape, dtype: OnDevice(np.empty(shape, dtype), cupy.current)
    x, a = (OnDevice(np.zeros(shape, np.float32), 1) for shape in ((2, 3, 700), (3, 2)))
    y, state = mr.recurrence(x, feedback=a, backend="cupy")
    assert [part.device.id for part in (y, *state)] == [1, 1, 1]
    assert cupy.launched[0][-2:] == (1001, 1)
    assert cupy.current == 0


def test_a_failed_compile_shows_the_log_once(cupy):
    cupy.log = "kernels.cu(1): error: what it was"
    with pytest.raises(BackendBrokenError, match="what it was"):
        run()
    with pytest.raises(BackendBrokenError) as again:
        run()
    assert "what it was" not in str(again.value)
    assert len(cupy.compiled) == 1


@pytest.mark.parametrize(
    ("log", "package"),
    [
        ('Failure finding "libnvrtc.so.13 or libnvrtc.so.12"', "nvidia-cuda-nvrtc"),
        # CuPy asks for them whatever the source includes
        ("Failed to find CUDA headers. Please install CUDA toolkit headers", "nvidia-cuda-runtime"),
    ],
)
def test_without_the_compiler_it_says_how_to_install_it(cupy, log, package):
    cupy.kind, cupy.log = RuntimeError, log
    with pytest.raises(BackendBrokenError, match=rf"pip install '{package}>=13,<14' \(CUDA 13\) or {package}-cu12"):
        run()
    cupy.log = ""
    run()
    assert cupy.launched, "it stays broken once the compiler is there"


def test_another_error_of_the_driver_is_raised_as_it_is(cupy):
    cupy.kind, cupy.log = DriverError, "cudaErrorIllegalAddress: an illegal memory access was encountered"
    with pytest.raises(DriverError, match="illegal memory access"):
        run()


def test_nothing_is_launched_for_empty_arrays(cupy):
    run(length=0)
    run(channels=0)
    assert not cupy.launched


def test_the_gradient_of_a_complex_state_is_zeroed_whole_where_there_are_no_samples(monkeypatch):
    device, taps = RecordingDevice(), Taps(1, 3, 1, 2, "complex64")
    # torch's types are no strings
    monkeypatch.setattr(device, "empty", lambda shape, dtype: torch.empty(shape, dtype=getattr(torch, dtype)))
    monkeypatch.setattr(device, "view", lambda array: View(array.data_ptr(), array.shape, array.stride(), 8))
    dtypes = ("float32", "complex64", "float32")
    problem = Problem("torch", "cuda:0", *dtypes, "BCT", False, 2, 3, 0, 3, None, taps)
    none, feedback = device.empty((2, 3, 0), "float32"), device.empty((1, 3, 1, 2), "complex64")
    needs = Needs(False, False, False, False, True)
    operands = Operands(none, None, feedback, None, None)
    Kernel(device).vjp(problem, operands, none, none, None, needs, lambda channels, dtype: none)
    assert device.launched == ["fold<Complex<float>,Complex<float>>"]


@pytest.mark.parametrize(
    ("count", "status", "reason"),
    [
        (1, "ready", ""),
        (0, "missing", "no device of type cuda is usable here"),
        (DriverError("cudaErrorNoDevice: no CUDA-capable device is detected"), "missing", "no device"),
        (DriverError("cudaErrorInsufficientDriver: CUDA driver version is insufficient"), "missing", "driver"),
        (ImportError("libcuda.so.1: cannot open shared object file"), "broken", "libcuda"),
    ],
)
def test_status_says_what_is_wrong_with_the_driver(cupy, count, status, reason):
    cupy.count = count
    found = status_of("cupy")
    assert found.status == status
    assert reason in found.reason
    assert found.fix or status == "ready"
