"""CUDA's libraries and CuPy, which are none."""

import sys

import pytest
from fake_cuda import WITHOUT_BINDINGS, FakeCuda, build, fake_torch
from fake_cupy import BOUND, FakeCupy
from multirec_backends.cupy._launch import driver

from multirec._registry.registry import registry


@pytest.fixture
def cupy(monkeypatch):
    fake = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    for module in BOUND:
        monkeypatch.delitem(sys.modules, module, raising=False)
    registry.look_again()
    yield fake
    registry.look_again()
    for module in BOUND:
        sys.modules.pop(module, None)


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    return build(tmp_path_factory.mktemp("fake_cuda"))


@pytest.fixture(params=["ctypes"] if WITHOUT_BINDINGS else ["ctypes", "cuda-bindings"])
def cuda(request, paths, tmp_path, monkeypatch):
    fake = FakeCuda(paths, "13.0" if request.param == "cuda-bindings" else "")
    monkeypatch.setattr(driver, "_LIBRARY", str(paths["driver"]))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "torch", fake_torch())
    fake.enter(0)
    yield fake
    fake.leave()
