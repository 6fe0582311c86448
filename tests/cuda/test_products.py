"""Time-varying feedback of order 2 and above: as exact as stepping, and nothing is finite after what is not."""

from __future__ import annotations

import shutil
from dataclasses import replace

import checked
import numpy as np
import pytest
import varying
from cases.products import FURTHER
from emulated import EmulatedDevice, RecordingDevice, build
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._plan import plan

from multirec.backend import Needs

DTYPES = ["float32", pytest.param("float64", marks=pytest.mark.long)]

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
FEW = (
    "high-pass 20 Hz @ 48k",
    "notch 50 Hz Q 30 @ 48k",
    "double pole 0.9999",
    "resonator 0.9999 low",
    "resonator 0.999, swept by 0.01",
    "from high-pass 20 Hz @ 48k to resonator 0.9999 low",
)


@pytest.fixture
def every_kernel(monkeypatch):
    monkeypatch.setattr(RecordingDevice, "has", lambda self, kernel: True)


def over(dtype, length, names):
    recording = RecordingDevice()
    varying.measured(recording, dtype, length, names)
    results = varying.measured(EmulatedDevice(build(set(recording.launched), flags=())), dtype, length, names)
    assert results.keys() == set(names) & set(varying.family(1))
    return {
        (name, part): (result.own, result.stepping)
        for name, row in results.items()
        for part, result in zip(varying.NAMES, row, strict=True)
        if not result.over <= 1
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_as_accurate_as_stepping(every_kernel, dtype):
    assert not over(dtype, 700, FEW)


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_whole_family(every_kernel, dtype):
    names = set(varying.family(1)) - ({"band-pass of order 8, clustered"} if dtype == "float32" else set())
    assert not over(dtype, 5000, names)


@pytest.mark.long
@pytest.mark.parametrize("case", FURTHER, ids=str)
def test_other_types_and_orders(every_kernel, case):
    recording = RecordingDevice()
    checked.faults_of(Kernel(recording), case, oracle=False)
    faults = checked.faults_of(Kernel(EmulatedDevice(build(set(recording.launched), flags=()), seed=1)), case)
    assert not faults, "\n".join(faults)


def computed(kernel, problem, operands, grad_y):
    def allocate(channels, kind):
        return np.full((problem.batch, channels, problem.length), np.nan, kind)

    with np.errstate(all="ignore"):
        y = kernel.forward(problem, operands, allocate)
        found = kernel.vjp(problem, operands, y, grad_y, None, Needs(True, True, True, True, True), allocate)
    return y, found.x


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_finite_after_what_is_not(dtype):
    case = {"sizes": (1, 5, 800), "p": 2, "q": 0, "a": "varying", "dtype": dtype}
    problem, operands, grad_y, _ = checked.problem_of(np.random.default_rng(3), **case)
    operands.feedforward[...] = 1
    assert plan(problem, lambda kernel: True).forward.segments > 8
    recording = RecordingDevice()
    computed(Kernel(recording), problem, operands, grad_y)
    assert any(kernel.startswith("products_carry") for kernel in recording.launched)
    kernel = Kernel(EmulatedDevice(build(set(recording.launched), flags=())))
    good = computed(kernel, problem, operands, grad_y)
    # a number that is none, one that leaves the range on its way through, and a coefficient that is none
    operands.x[0, 0, 300] = np.nan
    operands.x[0, 1, 300] = np.finfo(dtype).max / 8
    operands.feedback[0, 1, 301] = 64
    operands.feedback[0, 2, 500] = np.inf
    grad_y[0, 3, 400] = -np.inf
    # one that leaves the range in a segment that begins with a large number and ends with small ones
    operands.x[0, 4, 383] = np.finfo(dtype).max / 8
    operands.feedback[0, 4, 384] = 64
    y, grad_x = computed(kernel, problem, operands, grad_y)
    for row, first in ((0, 300), (1, 301), (2, 500), (4, 384)):
        assert np.isfinite(y[0, row, :first]).all()
        assert not np.isfinite(y[0, row, first:]).any()
    assert (y[0, 3] == good[0][0, 3]).all()
    assert not np.isfinite(grad_x[0, 3, :401]).any()
    np.testing.assert_allclose(grad_x[0, 3, 401:], good[1][0, 3, 401:], rtol=1e-4, atol=1e-4)


@pytest.mark.long
def test_a_row_in_turn_is_what_one_segment_gives(monkeypatch):
    case = {"sizes": (1, 3, 700), "p": 3, "q": 1, "a": "varying", "poles": (2.0, 0.5, 0.2), "silent": True}
    problem, operands, grad_y, _ = checked.problem_of(np.random.default_rng(0), **case)
    results = []
    for shortest in (512, 10**9):
        monkeypatch.setattr("multirec_backends.cupy._plan.products._SHORTEST", shortest)
        mine = replace(problem, device=f"cpu:{shortest}")
        recording = RecordingDevice()
        computed(Kernel(recording), mine, operands, grad_y)
        results.append(
            computed(Kernel(EmulatedDevice(build(set(recording.launched), flags=()))), mine, operands, grad_y)
        )
    (y, grad_x), (alone, grad_alone) = results
    assert (y[0, 1] == alone[0, 1]).all()
    assert (grad_x[0, 1] == grad_alone[0, 1]).all()
