"""The kernels are as accurate as a run sample by sample, and the bound that says where a scan is not holds."""

from __future__ import annotations

import shutil

import accuracy
import emulated
import numpy as np
import pytest
from emulated import EmulatedDevice, RecordingDevice, build
from multirec_backends.cupy._pack import Arguments, View
from multirec_backends.cupy._plan import Grid

from multirec.backend import Problem

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


def measured(dtype, length, names):
    recording = RecordingDevice()
    accuracy.measured(recording, dtype, length, names)
    return accuracy.measured(EmulatedDevice(build(set(recording.launched), flags=())), dtype, length, names)


def worst(results):
    over = {
        (name, part): result for name, row in results.items() for part, result in zip(accuracy.NAMES, row, strict=True)
    }
    return {key: (result.own, result.stepping) for key, result in over.items() if not result.over <= 1}


@pytest.mark.parametrize(("dtype", "length"), [("float32", 1100), ("float64", 600)])
def test_as_accurate_as_stepping(every_kernel, dtype, length):
    assert not worst(measured(dtype, length, FEW))


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "length"), [("float32", 9000), ("float64", 4000)])
def test_the_whole_family_in_segments(every_kernel, dtype, length):
    names = [name for name in accuracy.FAMILY if dtype == "float64" or name != "band-pass of order 8, clustered"]
    assert not worst(measured(dtype, length, names))


@pytest.mark.parametrize(("dtype", "samples", "length"), [("float32", 32, 1100), ("float64", 8, 600)])
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
        arguments = Arguments(
            Problem("numpy", "cpu", dtype, dtype, dtype, "BCT", False, 1, len(names), 1, 1, None, None)
        )
        arguments.pointers["sums"] = found.__array_interface__["data"][0]
        address = taps.__array_interface__["data"][0]
        arguments.add_taps("a", View(address, (1, len(names), 1, order), (0, order, 0, 1), taps.itemsize))
        grid = Grid(0, 1, 1, 1, len(names), 4096)
        EmulatedDevice(build([kernel], (), BOUND)).launch(kernel, len(names), 32, 4096, arguments.pack(grid, 0))
        for name, squared in zip(names, found, strict=True):
            y, grad_x, *_ = results[name]
            assert max(y.ratio, grad_x.ratio) <= 1 + squared**0.5, name
