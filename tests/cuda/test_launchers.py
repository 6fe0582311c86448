"""Which launcher serves whose arrays: with torch's NVRTC and without, with CuPy and without; none is passed over."""

from __future__ import annotations

import importlib
import sys

import pytest
from fake_cuda import NEEDS
from fake_cupy import BOUND
from multirec_backends.cupy._launch import toolkit

from multirec._registry.choice import chosen, explain_problem
from multirec._registry.probe import status_of
from multirec._registry.registry import registry
from multirec.backend import Problem, Taps
from multirec.errors import BackendMissingError

pytestmark = NEEDS
INSTALL = "module 'cupy' is not installed. Install it with: pip install 'multirec-bank[cupy13]' (CUDA 13) or"


def of(family, device="cuda:0"):
    taps = Taps(1, 3, 1, 2, "float32")
    return Problem(family, device, *("float32",) * 3, "BCT", False, 2, 3, 700, 3, None, taps)


def device():
    return importlib.import_module("multirec_backends.cupy._device").CudaDevice()


@pytest.fixture
def nvrtc(cuda, monkeypatch):
    """There is an NVRTC for torch, and a driver."""
    for module in BOUND:
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(toolkit, "find", lambda: cuda.toolkit)
    registry.look_again()
    yield cuda
    registry.look_again()
    for module in BOUND:
        sys.modules.pop(module, None)


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    registry.look_again()


def test_without_cupy_torch_s_tensors_are_computed(no_cupy, nvrtc):
    explanation = explain_problem(of("torch"))
    assert explanation.chosen == "cupy"
    through = str(nvrtc.toolkit).rpartition(" ")[2]
    assert explanation.candidates["cupy"].reason.endswith(f"; launched by torch's NVRTC 13 through {through}")
    assert chosen(of("torch"), "cupy").name == "cupy"
    status = status_of("cupy")
    assert (status.status, status.devices) == ("ready", ("cuda",))
    assert status.version == f"torch's NVRTC 13.0 through {through}"
    device().queue(of("torch", "cuda:1")).launch("fold<float,float,float,float>", 1, 32, 0, bytes(8))
    assert (nvrtc.launched, nvrtc.last.device) == (1, 1)


def test_without_cupy_others_are_told_to_install_it(no_cupy, nvrtc):
    for family in ("jax", "cupy"):
        assert INSTALL in explain_problem(of(family)).candidates["cupy"].reason
        with pytest.raises(BackendMissingError, match="registered but cannot run here: module 'cupy'"):
            chosen(of(family), "cupy")


def test_without_cupy_arrays_on_the_host_are_refused_for_being_there(no_cupy, nvrtc):
    assert "numpy arrays on cpu" in explain_problem(of("numpy", "cpu")).candidates["cupy"].reason


def test_without_cupy_and_nvrtc_it_is_missing(no_cupy, nvrtc, monkeypatch):
    monkeypatch.setattr(toolkit, "find", lambda: None)
    registry.look_again()
    assert INSTALL in explain_problem(of("torch")).candidates["cupy"].reason
    assert status_of("cupy").status == "missing"


def test_with_both_each_serves_its_own_in_one_process(cupy, nvrtc):
    both = device()
    name = "fold<float,float,float,float>"
    for family in ("torch", "cupy", "jax"):
        both.queue(of(family, "cuda:1")).launch(name, 1, 32, 0, bytes(8))
    assert (nvrtc.launched, nvrtc.last.stream) == (1, 1001)
    assert [launched[-2:] for launched in cupy.launched] == [(1001, 1)] * 2
    through = str(nvrtc.toolkit).rpartition(" ")[2]
    status = status_of("cupy")
    assert status.version == f"torch's NVRTC 13.0 through {through} for torch, CuPy 14.2.0 for others"
    assert explain_problem(of("torch")).candidates["cupy"].reason.endswith(f"NVRTC 13 through {through}")
    assert explain_problem(of("cupy")).candidates["cupy"].reason.endswith("; launched by CuPy")


def test_a_cupy_that_is_too_old_serves_nobody(cupy, nvrtc):
    cupy.__version__ = "13.6.0"
    assert "CuPy" not in status_of("cupy").version


def test_a_cupy_that_does_not_load_does_not_matter_to_torch(nvrtc, monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcublas.so.13')")
    monkeypatch.syspath_prepend(tmp_path)
    registry.look_again()
    assert status_of("cupy").status == "ready"


def test_an_nvrtc_that_does_not_load_is_not_passed_over(cupy, nvrtc, monkeypatch, tmp_path):
    (tmp_path / "libnvrtc.so.13").write_text("not a library")
    monkeypatch.setattr(toolkit, "find", lambda: nvrtc.toolkit._replace(path=tmp_path / "libnvrtc.so.13"))
    status = status_of("cupy")
    assert (status.status, "fails to load" in status.reason) == ("broken", True)


def test_cupy_serves_torch_where_there_is_no_nvrtc(cupy, nvrtc, monkeypatch):
    monkeypatch.setattr(toolkit, "find", lambda: None)
    device().queue(of("torch")).launch("fold<float,float,float,float>", 1, 32, 0, bytes(8))
    assert ([launched[-2:] for launched in cupy.launched], nvrtc.launched) == ([(1000, 0)], 0)
    assert explain_problem(of("torch")).candidates["cupy"].reason.endswith("; launched by CuPy")
    assert status_of("cupy").version in ("", "cupy 14.2.0")
