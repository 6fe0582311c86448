"""The part that talks to CuPy, with a stand-in for CuPy: compiling, launching, devices, and absent drivers."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from emulated import RecordingDevice
from fake_cupy import DriverError
from multirec_backends.cupy._computation import keep
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._pack import View

import multirec as mr
from multirec._registry.probe import status_of
from multirec.backend import Needs, Operands, Problem, Taps
from multirec.errors import ArgumentError, BackendBrokenError


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
    assert "tiles_forward<float,float,float,float,2,0,false,false,128>(p)" in cupy.compiled[0]
    (grid, block, elements, size, _shared, stream, device), *_ = cupy.launched
    assert (grid, block, stream, device) == ((2,), (128,), 1000, 0)
    assert elements == 1
    assert size == 8 * (15 + 12 * 5 + 4 * 10 + 8)


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


def torch_device(monkeypatch):
    """Return a device of torch's arrays that launches nothing."""
    device = RecordingDevice()
    # torch's types are no strings
    monkeypatch.setattr(device, "empty", lambda shape, dtype: torch.empty(shape, dtype=getattr(torch, dtype)))
    monkeypatch.setattr(device, "address", lambda array: array.data_ptr())
    monkeypatch.setattr(device, "strides", lambda array: array.stride())
    monkeypatch.setattr(
        device, "view", lambda array: View(array.data_ptr(), tuple(array.shape), array.stride(), array.element_size())
    )
    return device


def test_the_gradient_of_a_complex_state_is_zeroed_whole_where_there_are_no_samples(monkeypatch):
    device, taps = torch_device(monkeypatch), Taps(1, 3, 1, 2, "complex64")
    dtypes = ("float32", "complex64", "float32")
    problem = Problem("torch", "cuda:0", *dtypes, "BCT", False, 2, 3, 0, 3, None, taps)
    none, feedback = device.empty((2, 3, 0), "float32"), device.empty((1, 3, 1, 2), "complex64")
    needs = Needs(False, False, False, False, True)
    operands = Operands(none, None, feedback, None, None)
    Kernel(device).vjp(problem, operands, none, none, None, needs, lambda channels, dtype: none)
    assert device.launched == ["fold<float,Complex<float>,float,Complex<float>>"]


def test_what_has_no_memory_is_refused_and_not_read(monkeypatch):
    device, taps = torch_device(monkeypatch), Taps(1, 3, 1, 2, "float32")
    kernel, feedback = Kernel(device), torch.zeros(1, 3, 1, 2)
    problem = Problem("torch", "cuda:0", *("float32",) * 3, "BCT", False, 2, 3, 5, 3, None, taps)

    def run(x):
        kernel.forward(problem, Operands(x, None, feedback, None, None), lambda channels, dtype: torch.empty(2, 3, 5))

    run(torch.zeros(2, 3, 5))
    freed = torch.zeros(2, 3, 5)
    freed.untyped_storage().resize_(0)
    for x in (freed, torch._efficientzerotensor((2, 3, 5))):
        with pytest.raises(ArgumentError, match=r"^x of shape \(2, 3, 5\) has no memory"):
            run(x)
    assert len(device.launched) == 1


def test_the_gradient_of_coefficients_is_zeroed_where_there_are_no_examples():
    device = RecordingDevice()
    taps = Taps(1, 3, 1, 2, "float32")
    problem = Problem("numpy", "cpu", *("float32",) * 3, "BCT", False, 0, 3, 5, 3, taps, taps)
    x, coefficients = np.zeros((0, 3, 5), np.float32), np.ones((1, 3, 1, 2), np.float32)
    operands = Operands(x, coefficients, coefficients, None, None)
    needs = Needs(True, True, True, False, False)
    Kernel(device).vjp(problem, operands, x, x, None, needs, lambda channels, dtype: np.empty_like(x))
    assert device.launched == ["fold<float,float,float,float>"]


class Slow(dict):
    """A table that other threads reach for while its oldest key is looked for, and while it has gone."""

    def __iter__(self):
        keys = super().__iter__()
        time.sleep(0.02)
        return keys

    def __delitem__(self, key):
        super().__delitem__(key)
        time.sleep(0.03)


def test_threads_may_keep_more_than_there_is_room_for():
    kept, faults = Slow(), []

    def work(number):
        try:
            for turn in range(3):
                assert keep(kept, 2, (number, turn), turn) == turn
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (faults, len(kept)) == ([], 2)


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
