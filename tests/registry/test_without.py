"""Backends that need less for the arrays of some libraries, and kernels that say themselves what they compute with."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import multirec as mr
from multirec.backend import BackendInfo, Probe
from multirec.errors import BackendMissingError
from multirec.reference import kernel

MADE = {"name": "made", "summary": "s", "kernel": "multirec.reference:kernel", "family": "numpy"}
ABSENT = "module 'made_absent' is not installed"
A = np.array([[0.5]])


@pytest.fixture
def asked(registered):
    """The libraries that a backend was asked about, which needs a module that is not there, but not for NumPy."""
    asked = []

    def without(family):
        asked.append(family)
        return family == "numpy"

    mr.register_backend(BackendInfo(**MADE, requires=("made_absent",), without=without, install="'made[all]'"))
    return asked


def test_a_module_that_some_arrays_do_not_need(asked):
    x = np.ones((1, 1, 4))
    y, _ = mr.recurrence(x, feedback=A, backend="made")
    np.testing.assert_array_equal(y, [[[1, 1.5, 1.75, 1.875]]])
    assert mr.explain(x, feedback=A).candidates["made"].ok
    assert mr.backends()["made"].status == "ready"
    assert mr.RecurrenceBank(feedback=A, backend="made")(x)[0].shape == x.shape


def test_arrays_that_need_it_get_the_usual_error(asked):
    x = torch.ones(1, 1, 4, dtype=torch.float64)
    with pytest.raises(BackendMissingError) as error:
        mr.recurrence(x, feedback=torch.tensor(A), backend="made")
    assert str(error.value) == (
        f"backend 'made' is registered but cannot run here: {ABSENT}. Install it with: pip install 'made[all]'."
    )
    assert ABSENT in mr.explain(x, feedback=torch.tensor(A)).candidates["made"].reason


def test_the_answer_is_remembered(asked):
    for _ in range(3):
        mr.explain(np.ones((1, 4)), feedback=A)
        mr.explain(np.ones((1, 5)), feedback=A)
    assert asked == ["numpy"]


def test_nobody_is_asked_where_nothing_is_missing(registered):
    info = BackendInfo(**MADE, requires=("numpy",), without=lambda family: 1 / 0)
    mr.register_backend(info)
    assert mr.backends()["made"].status == "ready"


def test_a_fault_in_it_stops_no_other(registered):
    mr.register_backend(BackendInfo(**MADE, requires=("made_absent",), without=lambda family: 1 / 0))
    status = mr.backends()["made"]
    assert (status.status, ABSENT in status.reason, "ZeroDivisionError" in status.reason) == ("missing", True, True)
    with pytest.raises(BackendMissingError, match="whether it does without fails with ZeroDivisionError"):
        mr.recurrence(np.ones((1, 4)), feedback=A, backend="made")
    assert mr.recurrence(np.ones((1, 4)), feedback=A)[0].shape == (1, 4)


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (Probe("two libraries", ("cpu",)), "ready", ""),
        (Probe("a library", (), "it is too old", "Get another one."), "missing", "it is too old"),
        (Probe("a library", ()), "missing", "no device of type cpu is usable here"),
        (None, "ready", ""),
    ],
)
def test_a_kernel_that_says_what_it_computes_with(registered, monkeypatch, found, status, said):
    probing = SimpleNamespace(forward=kernel.forward, probe=lambda: found)
    monkeypatch.setitem(sys.modules, "made_probing", SimpleNamespace(kernel=probing))
    mr.register_backend(BackendInfo(**MADE | {"kernel": "made_probing:kernel"}))
    about = mr.backends()["made"]
    assert (about.status, about.reason) == (status, said)
    assert about.version == (found.version if found else f"numpy {np.__version__}")
    assert bool(about.fix) == (status != "ready")
    assert about.devices == (("cpu",) if status == "ready" else ())


def test_a_kernel_whose_probe_fails_is_broken(registered, monkeypatch):
    def probe():
        raise OSError("no such library")

    monkeypatch.setitem(
        sys.modules, "made_probing", SimpleNamespace(kernel=SimpleNamespace(forward=kernel.forward, probe=probe))
    )
    mr.register_backend(BackendInfo(**MADE | {"kernel": "made_probing:kernel"}))
    assert (mr.backends()["made"].status, mr.backends()["made"].reason) == ("broken", "no such library")
