"""Torch's launcher without CuPy, on a driver and an NVRTC that are none: through ctypes and through cuda-bindings."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import pytest
from fake_cuda import NEEDS, WITHOUT_BINDINGS
from multirec_backends.cupy._launch import driver as driver_module
from multirec_backends.cupy._launch import kernels as kernels_module
from multirec_backends.cupy._launch import with_torch
from multirec_backends.cupy._launch.driver import CudaError
from multirec_backends.cupy._launch.kernels import Kernels
from multirec_backends.cupy._launch.nvrtc import Nvrtc
from multirec_backends.cupy._launch.with_torch import TorchQueue

from multirec.errors import BackendBrokenError

pytestmark = NEEDS
PARAMS = (42).to_bytes(8, "little") + bytes(24)
NAME = "carry<float,float,2,1024,false>"


def launch(queue, name=NAME):
    queue.launch(name, 7, 32, 512, PARAMS)


@pytest.mark.skipif(bool(WITHOUT_BINDINGS), reason=f"all below is tried through ctypes alone: {WITHOUT_BINDINGS}")
def test_cuda_bindings_are_tried_too(cuda):
    assert isinstance(Kernels(cuda.toolkit).nvrtc._calls, ModuleType) == bool(cuda.toolkit.bindings)


def test_a_kernel_is_compiled_once_and_launched_with_its_arguments_on_the_current_stream(cuda, monkeypatch):
    queue = TorchQueue(Kernels(cuda.toolkit), 0)
    launch(queue)
    monkeypatch.setattr(queue, "stream_of", lambda index: 1 << 40)
    launch(queue)
    assert (cuda.compiled, cuda.loaded, cuda.launched) == (1, 1, 2)
    last = cuda.last
    assert (last.blocks, last.threads, last.shared, last.stream, last.first) == (7, 32, 512, 1 << 40, 42)
    assert last.device == 0
    text = last.text.decode()
    assert text.startswith("sm_90 ")
    assert f"multirec_kernel(const Problem p) {{ {NAME}(p); }}" in text


def test_a_second_gpu_is_guarded(cuda):
    kernels = Kernels(cuda.toolkit)
    launch(TorchQueue(kernels, 1))
    assert cuda.entered == 0
    assert (cuda.last.device, cuda.last.stream) == (1, 1001)
    launch(TorchQueue(kernels, 0))
    assert (cuda.last.device, cuda.last.stream) == (0, 1000)
    assert (cuda.compiled, cuda.loaded) == (1, 2), "two devices of one kind need one compilation"


def test_a_thread_of_torch_in_which_no_context_is_current_yet(cuda):
    queue, faults = TorchQueue(Kernels(cuda.toolkit), 0), []

    def work():
        try:
            for _ in range(2):
                launch(queue)
        except Exception as error:
            faults.append(error)

    launch(queue)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (faults, cuda.launched, cuda.loaded) == ([], 3, 1)
    assert cuda.entered == 1, "it stays current for what follows"


def test_a_thread_that_torch_has_not_yet_taken_to_the_device_that_it_names(cuda):
    queue = TorchQueue(Kernels(cuda.toolkit), 0)
    launch(queue)
    cuda.enter(1)
    launch(queue)
    assert (cuda.last.device, cuda.launched) == (0, 2)
    cuda.leave()
    assert cuda.entered == 0, "what was current, by whomever, stays current"


def test_the_default_stream_is_torch_s_whatever_cuda_bindings_take_0_for(cuda, monkeypatch):
    queue = TorchQueue(Kernels(cuda.toolkit), 0)
    monkeypatch.setattr(queue, "stream_of", lambda index: 0)
    launch(queue)
    assert cuda.last.stream == 1


def test_threads_launch_with_their_own_arguments(cuda):
    queue, wrong = TorchQueue(Kernels(cuda.toolkit), 0), []
    launch(queue)
    own, lock = queue._launch, threading.Lock()

    def seen(*arguments):
        # what another thread does meanwhile is not to matter
        time.sleep(0)
        with lock:
            found = own(*arguments)
            if not found and cuda.last.first != cuda.last.blocks:
                wrong.append((cuda.last.first, cuda.last.blocks))
        return found

    queue._launch = seen

    def work(number):
        for _ in range(50):
            queue.launch(NAME, number, 32, 0, number.to_bytes(8, "little"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_older_versions_of_torch_say_the_stream_by_an_object(cuda):
    streams = SimpleNamespace(current_stream=lambda index: SimpleNamespace(cuda_stream=77 + index))
    sys.modules["torch"].cuda = SimpleNamespace(**vars(streams), current_device=lambda: 0)
    sys.modules["torch"]._C = SimpleNamespace()
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    assert cuda.last.stream == 77


def test_memory_is_torch_s_and_arrays_are_read_where_they_lie(cuda, monkeypatch):
    queue = with_torch.TorchMemory(0)
    monkeypatch.setattr(queue, "_device", "cpu")
    tensor = queue.empty((2, 3, 4), "float32")[..., ::2]
    assert queue.view(tensor) == (tensor.data_ptr(), (2, 3, 2), (12, 4, 2), 4)
    assert (queue.address(tensor), queue.strides(tensor)) == (tensor.data_ptr(), (12, 4, 2))


def test_a_failed_compile_shows_the_log_once(cuda, monkeypatch):
    monkeypatch.setattr(kernels_module, "whole_source", lambda name: "#error")
    queue = TorchQueue(Kernels(cuda.toolkit), 0)
    with pytest.raises(BackendBrokenError, match=r"does not compile:\nmultirec\.cu\(1\): error: what it was$"):
        launch(queue)
    with pytest.raises(BackendBrokenError) as again:
        launch(queue)
    assert "what it was" not in str(again.value)
    assert cuda.compiled == 1


def test_a_compiler_that_fails_by_itself(cuda):
    cuda.compile_status = 11
    with pytest.raises(BackendBrokenError, match="nvrtcCompileProgram fails with status 11"):
        launch(TorchQueue(Kernels(cuda.toolkit), 0))


def test_a_driver_that_is_older_than_the_toolkit(cuda):
    cuda.driver_version = 12080
    kernels = Kernels(cuda.toolkit)
    with pytest.raises(BackendBrokenError, match=r"driver supports CUDA 12\.8, and torch's NVRTC is 13\.0\. Install a"):
        launch(TorchQueue(kernels, 0))
    assert cuda.compiled == 0
    found = kernels.probe()
    assert found.devices == ()
    assert "the driver supports CUDA 12.8" in found.reason
    assert "driver for CUDA 13.0, or torch for" in found.fix


def test_code_of_a_newer_minor_version_is_loaded(cuda):
    cuda.nvrtc_minor = 2
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    assert cuda.launched == 1


def test_a_card_that_is_newer_than_the_compiler_gets_what_the_driver_compiles(cuda):
    cuda.major_capability = 12
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    assert cuda.last.text.startswith(b"compute_100 ")


def test_which_no_driver_does_that_is_older_than_the_compiler(cuda):
    cuda.major_capability, cuda.nvrtc_minor = 12, 2
    with pytest.raises(BackendBrokenError, match=r"driver supports CUDA 13\.0, and torch's NVRTC is 13\.2"):
        launch(TorchQueue(Kernels(cuda.toolkit), 0))


def test_a_card_that_is_older_than_the_compiler_knows(cuda):
    cuda.major_capability = 7
    with pytest.raises(BackendBrokenError, match=r"compute capability 7\.5 and newer, and this GPU's is 7\.0"):
        launch(TorchQueue(Kernels(cuda.toolkit), 0))


def test_another_error_of_the_driver_is_raised_with_its_name(cuda):
    queue = TorchQueue(Kernels(cuda.toolkit), 0)
    cuda.launch_status = 700
    with pytest.raises(CudaError, match=r"launch of carry<.*>: CUDA_ERROR_FAKE \(700\), as the test asked$"):
        launch(queue)
    cuda.launch_status = 3
    with pytest.raises(CudaError, match="forked after CUDA began cannot use it; start it by 'spawn'"):
        launch(queue)
    cuda.launch_status = 0
    launch(queue)


def test_what_the_driver_does_not_load_is_an_error_and_can_be_tried_again(cuda):
    queue = TorchQueue(Kernels(cuda.toolkit), 0)
    cuda.load_status = 2
    with pytest.raises(CudaError, match=r"torch\.cuda\.empty_cache\(\) gives"):
        launch(queue)
    cuda.load_status = 0
    launch(queue)


def test_status_says_what_launches(cuda):
    found = Kernels(cuda.toolkit).probe()
    through = "cuda-bindings" if cuda.toolkit.bindings else "ctypes"
    assert (found.version, found.devices, found.reason) == (f"torch's NVRTC 13.0 through {through}", ("cuda",), "")
    cuda.begun, cuda.init_status = 0, 100
    assert Kernels(cuda.toolkit).probe()[1:] == ((), "", "")
    cuda.init_status = 804
    found = Kernels(cuda.toolkit).probe()
    assert "no usable CUDA driver: cuInit: CUDA_ERROR_FAKE (804)" in found.reason
    assert found.fix


def test_without_a_driver(cuda, monkeypatch):
    monkeypatch.setattr(driver_module, "_LIBRARY", "libcuda-that-is-not-here.so.1")
    found = Kernels(cuda.toolkit).probe()
    assert "no usable CUDA driver: libcuda-that-is-not-here.so.1: cannot open" in found.reason
    assert "nvidia-smi" in found.fix


def test_a_compiler_that_does_not_load(cuda, tmp_path):
    (tmp_path / "libnvrtc.so.13").write_text("not a library")
    kernels = Kernels(cuda.toolkit._replace(path=tmp_path / "libnvrtc.so.13"))
    for attempt in (kernels.probe, lambda: launch(TorchQueue(kernels, 0))):
        with pytest.raises(BackendBrokenError, match=r"torch's NVRTC 13 through .* fails to load: .*libnvrtc\.so\.13"):
            attempt()


def test_bindings_that_do_not_load_are_not_passed_over(cuda, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    with pytest.raises(BackendBrokenError, match=r"cuda-bindings 13\.1 is installed but fails to load"):
        Kernels(cuda.toolkit._replace(bindings="13.1")).probe()


def test_a_fork_waits_for_what_is_compiled_and_the_child_can_compile(cuda, monkeypatch):
    kernels, started = Kernels(cuda.toolkit), threading.Event()
    own = Nvrtc.compile

    def slow(*arguments):
        started.set()
        time.sleep(0.2)
        return own(*arguments)

    monkeypatch.setattr(Nvrtc, "compile", slow)
    thread = threading.Thread(target=kernels.get, args=(NAME, 0))
    thread.start()
    started.wait(10)
    child = os.fork()
    if not child:
        # a child that waits for a lock that nobody holds any more ends by the alarm
        import signal

        signal.alarm(20)
        kernels.get(NAME, 0)
        kernels.get("carry<float,float,3,1024,false>", 0)
        os._exit(0 if cuda.compiled == 2 else 1)
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
