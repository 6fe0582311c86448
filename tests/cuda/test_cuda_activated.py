"""Recurrences with an activation inside: the emulated kernels against the same steps in float64."""

from __future__ import annotations

import shutil
from itertools import product

import nonlinear
import pytest
from emulated import RecordingDevice
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._plan.activated import HIGHEST_ORDER, PIECE, plan
from test_emulated import computed, wrong
from tried import faults_of

from multirec.backend import CHECKPOINT, Activated, ActivatedKernel

built = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@built
def test_values_and_gradients_are_those_of_stepping():
    assert not faults_of(nonlinear.Nonlinear, nonlinear.SHORT)


@pytest.mark.long
@built
def test_every_kind_and_type():
    assert not faults_of(nonlinear.Nonlinear, nonlinear.LONG)


@pytest.mark.long
@pytest.mark.parametrize("long", [False, True])
def test_with_sanitizers(long):
    faults = wrong(computed("nonlinear", long=long))
    assert not faults, faults


def problem(kind="independent", activation="tanh", order=1, dtypes=("float32",), layout="BCT", **more):
    compute = "float64" if "float64" in dtypes else "float32"
    return Activated(kind, activation, order, 1.0, "torch", "cuda:0", dtypes, compute, layout, False, 3, 50, 70, **more)


@pytest.mark.parametrize(
    ("kind", "dtypes", "cell"),
    [
        ("independent", ("float32",), "float,float,Independent<TANH,1>"),
        ("sru", ("float16",) * 3, "Half,Half,Sru<TANH,0>"),
        ("sru", ("bfloat16", "bfloat16", "bfloat16", "float32"), "BFloat,float,Sru<TANH,1>"),
        ("envelope", ("float64",), "double,double,Envelope<0>"),
        ("envelope", ("float16", "float32", "float32"), "Half,float,Envelope<1>"),
    ],
)
def test_which_kernel_computes_what(kind, dtypes, cell):
    launch = plan(problem(kind, dtypes=dtypes, layout="TBC"), False)
    assert launch.kernel == f"activated_forward<{cell},false,false>"
    # rows of all examples are counted in one go
    assert (launch.blocks, launch.threads) == (5, 32)
    assert plan(problem(kind, dtypes=dtypes, numbered=True), True).kernel == f"activated_backward<{cell},true,true>"


@pytest.mark.parametrize(("back", "dtype"), list(product([False, True], ["float16", "float32", "float64"])))
def test_strips_fit_into_shared_memory(back, dtype):
    wide = "float64" if dtype == "float64" else "float32"
    largest = [
        problem(order=HIGHEST_ORDER, dtypes=(dtype,), numbered=True),
        problem("sru", dtypes=(dtype, dtype, dtype, wide), numbered=True),
        problem("envelope", dtypes=(dtype, wide, wide), numbered=True),
    ]
    assert max(plan(each, back).shared for each in largest) <= 48 << 10


def test_is_a_kernel_of_them_up_to_an_order():
    kernel = Kernel(RecordingDevice())
    assert isinstance(kernel, ActivatedKernel)
    assert PIECE == CHECKPOINT
    assert kernel.activates(problem(order=HIGHEST_ORDER)) == ""
    assert "it supports 1..32" in kernel.activates(problem(order=HIGHEST_ORDER + 1))
