"""Channel-last kernels and numbers that are not finite: nothing later in the row is, and other rows are as before."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from emulated import EmulatedDevice, RecordingDevice, build
from multirec_backends.cupy._kernel import Kernel

from multirec.backend import Needs, Operands, Problem, Taps

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
ROW, ROWS, LENGTH = 5, 33, 1100
DTYPES = ("float32", "float16")


def computed(kernel, dtype, at=None):
    """Return y and the gradient of x, finite up to `at`: one more value overflows, or is not finite itself."""
    rng = np.random.default_rng(0)
    x, grad_y = (rng.standard_normal((1, ROWS, LENGTH)).astype(dtype) for _ in range(2))
    feedback = np.full((1, ROWS, 1, 2), [0.5, 0.1], "float32")
    # the poles are inside the unit circle: a run later all would be finite again
    feedback[0, ROW, 0] = 1.8, -0.9
    if at is not None and dtype == "float16":
        x[0, ROW, at + 1] = grad_y[0, ROW, LENGTH - 2 - at] = np.inf
    elif at is not None:
        x[0, ROW, at] = grad_y[0, ROW, LENGTH - 1 - at] = 2e38

    def laid(values):
        return np.ascontiguousarray(values.swapaxes(1, 2)).swapaxes(1, 2)

    def allocate(channels, dtype):
        return laid(np.full((1, channels, LENGTH), np.nan, dtype))

    taps = Taps(1, ROWS, 1, 1, "float32"), Taps(1, ROWS, 1, 2, "float32")
    problem = Problem(*("numpy", "cpu", dtype, dtype, "float32", "BTC", False, 1, ROWS, LENGTH, ROWS), *taps)
    operands = Operands(laid(x), np.ones((1, ROWS, 1, 1), "float32"), feedback, None, np.zeros((1, ROWS, 2), "float32"))
    y = kernel.forward(problem, operands, allocate)
    # of half types with the last outputs
    y = y[0] if isinstance(y, tuple) else y
    needs = Needs(True, True, True, False, True)
    return y, kernel.vjp(problem, operands, y, laid(grad_y), None, needs, allocate).x[..., ::-1]


@pytest.fixture(scope="module")
def kernel():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordingDevice, "has", lambda self, name: True)
        recording = RecordingDevice()
        for dtype in DTYPES:
            computed(Kernel(recording), dtype)
        assert sum(name.startswith("channels_backward") for name in recording.launched) == len(DTYPES)
        yield Kernel(EmulatedDevice(build(set(recording.launched), flags=())))


# the last sample of a run, whose tile goes on; one in the midst of a tile; and one in the last
@pytest.mark.parametrize("at", [31, 540, 1030])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_finite_after_what_is_not(kernel, dtype, at):
    with np.errstate(all="ignore"):
        found, usual = computed(kernel, dtype, at), computed(kernel, dtype)
    for values, want in zip(found, usual, strict=True):
        assert np.isfinite(values[0, ROW, : at + 1]).all()
        assert not np.isfinite(values[0, ROW, at + 1 :]).any()
        np.testing.assert_array_equal(np.delete(values, ROW, 1), np.delete(want, ROW, 1))
