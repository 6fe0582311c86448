"""Kernels that take tensors as they are: they are asked for tensors that have memory, and sizes that are numbers."""

import sys
from types import ModuleType

import pytest
import torch
from multirec_backends.torch_loop._kernel import kernel as loop
from torch._subclasses.fake_tensor import FakeTensorMode

import multirec as mr
from multirec.backend import BackendInfo

X, A = torch.ones(2, 3, 9), torch.full((3, 1), 0.5)


class Told:
    """The loop, and the forms that it was asked to take directly: it takes none."""

    def __init__(self):
        self.forms = []
        self.forward = loop.forward

    def vjp(self, *arguments):
        raise AssertionError

    def direct(self, problem, form):
        self.forms.append(form)


@pytest.fixture
def forms(monkeypatch):
    module = ModuleType("told")
    module.kernel = Told()
    monkeypatch.setitem(sys.modules, "told", module)
    mr.register_backend(BackendInfo(name="told", summary="s", kernel="told:kernel", family="torch"))
    yield module.kernel.forms
    mr.unregister_backend("told")


def run(x, a):
    return mr.recurrence(x, feedback=a, backend="told")[0]


def test_of_tensors_and_parameters(forms):
    run(X, torch.nn.Parameter(A, requires_grad=False))
    (form,) = forms
    assert (form.y, form.outputs) == ((2, 3, 9), (2, 3, 1))


def test_not_of_those_that_have_no_memory(forms):
    with FakeTensorMode() as mode:
        y = run(mode.from_tensor(X), mode.from_tensor(A))
    assert y.shape == X.shape
    assert not forms


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_not_of_sizes_that_are_traced(forms):
    traced = torch.jit.trace(run, (X, A), check_trace=False)
    assert all(type(size) is int for form in forms for size in form.y)
    torch.testing.assert_close(traced(X, A), run(X, A))
