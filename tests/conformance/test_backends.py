"""Every built-in backend conforms; all of them are ready where the library itself is tested."""

import pytest

import multirec as mr
from multirec.testing.conformance import BackendConformance

REQUIRED = ("numba", "reference", "torch_loop", "unfold_scan")


@pytest.mark.parametrize("name", REQUIRED)
def test_is_ready(name):
    status = mr.backends()[name]
    assert status.status == "ready", f"{status.reason} {status.fix}"


class TestReference(BackendConformance):
    backend = "reference"


class TestTorchLoop(BackendConformance):
    backend = "torch_loop"


class TestUnfoldScan(BackendConformance):
    backend = "unfold_scan"


class TestNumba(BackendConformance):
    backend = "numba"


@pytest.mark.long
class TestJax(BackendConformance):
    """Compiles for every shape."""

    backend = "jax"


def test_every_ready_backend_is_checked():
    ready = {name for name, status in mr.backends().items() if status.status == "ready"}
    own = {name for name in ready if mr.backends()[name].distribution == "multirec-bank"}
    checked = {cls.backend for cls in BackendConformance.__subclasses__() if cls.__module__ == __name__}
    assert own <= checked, f"no conformance class for {sorted(own - checked)}"
