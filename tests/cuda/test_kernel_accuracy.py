"""The kernels are as accurate as a run sample by sample, and the bound that says where a scan is not holds."""

from __future__ import annotations

import shutil

import accuracy
import checked
import emulated
import numpy as np
import pytest
import stepped
from emulated import EmulatedDevice, RecordingDevice, build, params_of
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._pack import View
from multirec_backends.cupy._plan import lanes

from multirec.backend import Needs, Problem

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
FEW = [name for name in accuracy.FAMILY if len(accuracy.FAMILY[name][1]) <= 3]
BOUND = """
template <class V, int P, int M> __device__ void bound(const Problem& p) {
  const int lane = threadIdx.x;
  const i64 row = blockIdx.x;
  const Powers<double, P, M> table{(double*)memory};
  const double loss = table.template build<V>(at<const V>(p.a, 0, row), p.a.tap, false, lane);
  if (lane == 0) ((double*)p.sums)[row] = loss;
}
"""


@pytest.fixture
def every_kernel(monkeypatch):
    monkeypatch.setattr(RecordingDevice, "has", lambda self, arguments: True)


def measured(dtype, length, names, layout="BCT"):
    recording = RecordingDevice()
    accuracy.measured(recording, dtype, length, names, layout)
    kernels = EmulatedDevice(build(set(recording.launched), flags=()))
    return accuracy.measured(kernels, dtype, length, names, layout)


def worst(results):
    over = {
        (name, part): result for name, row in results.items() for part, result in zip(accuracy.NAMES, row, strict=True)
    }
    return {key: (result.own, result.stepping) for key, result in over.items() if not result.over <= 1}


@pytest.mark.parametrize(
    ("dtype", "length", "layout"),
    [
        ("float32", 1100, "BCT"),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in (("float32", 1100, "BTC"), ("float64", 600, "BCT"), ("float64", 600, "BTC"))
        ),
    ],
)
def test_as_accurate_as_stepping(every_kernel, monkeypatch, dtype, length, layout):
    if layout != "BCT":
        # a filter's rows are a warp's lanes, which compute alike
        monkeypatch.setattr(accuracy, "SEEDS", 32)
    assert not worst(measured(dtype, length, FEW, layout))


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "length"), [("float32", 9000), ("float64", 4000)])
def test_the_whole_family_in_segments(every_kernel, dtype, length):
    names = [name for name in accuracy.FAMILY if dtype == "float64" or name != "band-pass of order 8, clustered"]
    assert not worst(measured(dtype, length, names))


@pytest.mark.long
@pytest.mark.parametrize("lines", [4, 32])
@pytest.mark.parametrize(("dtype", "length"), [("float32", 5000), ("float64", 2000)])
def test_a_lane_for_each_segment(every_kernel, monkeypatch, dtype, length, lines):
    # short segments, whose powers are still large at their end, and long ones
    monkeypatch.setattr(lanes, "FEWEST_LINES", lines)
    names = [name for name in accuracy.FAMILY if len(accuracy.FAMILY[name][1]) > lanes.LOWEST_ORDER]
    if dtype == "float32":
        names.remove("band-pass of order 8, clustered")
    assert not worst(measured(dtype, length, names))


@pytest.mark.long
@pytest.mark.parametrize("groups", [1, 192])
@pytest.mark.parametrize("shared", [True, False])
def test_what_is_not_finite_reaches_segments_that_forget_it(every_kernel, monkeypatch, shared, groups):
    monkeypatch.setattr(lanes, "FEWEST_LINES", 16)
    monkeypatch.setattr(lanes, "FEWEST_GROUPS", groups)
    monkeypatch.setattr(lanes, "FEWEST_STRETCHES", 0)
    rng = np.random.default_rng(0)
    problem, operands, grad_y, grad_last = checked.problem_of(rng, sizes=(2, 9, 1700), p=4, q=3, shared=shared)
    operands.feedback[...] *= 0.5

    def computed(device, at=1600):
        operands.x[0, 0, at] = grad_y[1, 3, at] = np.nan
        kernel = Kernel(device)
        y = kernel.forward(problem, operands, lambda channels, kind: np.zeros((2, channels, 1700), kind))
        needs = Needs(*[True] * 5)
        return y, kernel.vjp(
            problem, operands, y, grad_y, grad_last, needs, lambda channels, kind: np.zeros((2, channels, 1700), kind)
        )

    recording = RecordingDevice()
    computed(recording)
    library = build(set(recording.launched), flags=())
    for at in (1600, 600, 100):
        y, found = computed(EmulatedDevice(library), at)
        assert np.isnan(y[0, 0, at:]).all()
        assert np.isfinite(y[0, 0, :at]).all()
        assert np.isfinite(y[1]).all()
        assert np.isnan(found.x[1, 0 if shared else 3, : at + 1]).all()


@pytest.mark.long
@pytest.mark.parametrize("groups", [1, 192])
def test_segments_that_forget_what_was_loud_decay_as_stepping_does(every_kernel, monkeypatch, groups):
    monkeypatch.setattr(lanes, "FEWEST_LINES", 16)
    monkeypatch.setattr(lanes, "FEWEST_GROUPS", groups)
    monkeypatch.setattr(lanes, "FEWEST_STRETCHES", 0)
    problem, operands, grad_y, _ = checked.problem_of(np.random.default_rng(0), sizes=(1, 16, 2048), p=4, q=3)
    operands.feedback[...] = -np.poly((0.8, 0.7, 0.5, 0.3))[1:]
    operands.x[..., 240:] = 0
    operands.x[0, 1, :2] = 3e38
    operands.inputs[0, 2, 1] = np.nan
    grad_y[..., :1800] = 0

    def computed(device):
        kernel = Kernel(device)
        y = kernel.forward(problem, operands, lambda channels, kind: np.zeros((1, channels, 2048), kind))
        needs = Needs(*[True] * 5)
        return y, kernel.vjp(
            problem, operands, y, grad_y, None, needs, lambda channels, kind: np.zeros((1, channels, 2048), kind)
        )

    operands.feedforward[0, 1] = 2
    recording = RecordingDevice()
    computed(recording)
    y, found = computed(EmulatedDevice(build(set(recording.launched), flags=())))
    # an input that overflows, and one of the past that is no number
    assert not np.isfinite(y[0, 1, 1:]).any()
    assert np.isnan(y[0, 2]).all()
    want = stepped.stepped(problem, operands, grad_y, None, extended=True)
    for own, true, far in ((y, want[0], slice(240, 750)), (found.x, want[2], slice(1400, 1800))):
        rows, true = own[0, 3:, far], true[0, 3:, far]
        # stretch by stretch, since the loud part would hide what follows
        for t in range(0, true.shape[-1], 10):
            size = np.abs(true[:, t : t + 10]).max(axis=-1)
            error = np.abs(rows - true)[:, t : t + 10].max(axis=-1)
            assert (error <= 1e-3 * size + 1e-42).all()


@pytest.mark.long
def test_all_segments_in_one_launch(every_kernel, monkeypatch):
    monkeypatch.setattr(lanes, "FEWEST_GROUPS", 1)
    monkeypatch.setattr(lanes, "FEWEST_STRETCHES", 1)
    names = [name for name in accuracy.FAMILY if len(accuracy.FAMILY[name][1]) in (4, 5, 9)]
    names.remove("band-pass of order 8, clustered")
    assert not worst(measured("float32", 5000, names))


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "length"), [("float32", 9000), ("float64", 4000)])
def test_channels_next_to_each_other_up_to_order_4(every_kernel, monkeypatch, dtype, length):
    monkeypatch.setattr(accuracy, "SEEDS", 32)
    names = [name for name in accuracy.FAMILY if len(accuracy.FAMILY[name][1]) <= 5]
    assert not worst(measured(dtype, length, names, "TBC"))


@pytest.mark.parametrize(("dtype", "samples", "length"), [("float32", 32, 1100), ("float64", 8, 600)])
@pytest.mark.long
def test_the_bound_holds_against_errors(every_kernel, monkeypatch, dtype, samples, length):
    source, limit = emulated.library_source(device=False), "LARGEST_LOSS = 2;"
    assert limit in source
    monkeypatch.setattr(emulated, "library_source", lambda device: source.replace(limit, "LARGEST_LOSS = 1e100;"))
    results = measured(dtype, length, FEW)
    real = "float" if dtype == "float32" else "double"
    for order in (1, 2):
        names = [name for name in FEW if len(accuracy.FAMILY[name][1]) == order + 1]
        taps = np.array([-accuracy.FAMILY[name][1][1:] for name in names], dtype)
        found = np.zeros(len(names))
        kernel = f"bound<{real},{order},{samples}>"
        problem = Problem("numpy", "cpu", dtype, dtype, dtype, "BCT", False, 1, len(names), 1, 1, None, None)
        address = taps.__array_interface__["data"][0]
        view = View(address, (1, len(names), 1, order), (0, order, 0, 1), taps.itemsize)
        params = params_of(problem, len(names), {"a": view}, {"sums": found})
        EmulatedDevice(build([kernel], (), BOUND)).launch(kernel, len(names), 32, 4096, params)
        for name, squared in zip(names, found, strict=True):
            y, grad_x, *_ = results[name]
            assert max(y.ratio, grad_x.ratio) <= 1 + squared**0.5, name
