"""What segments hand on: how wrong it is said to be, and what stepping is said to lose, against the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from multirec_backends.numba._kernel import run_forward
from multirec_backends.numba._recurrence import segments as _segments
from multirec_backends.numba._recurrence.carries import Carries, _missed
from scipy import signal

from multirec._core.problem import Spec, canonical_problem
from multirec.backend import Operands
from multirec.testing.family import Filter, designed

ROWS, LENGTH = 8, 1 << 14
FILTERS = [filter_ for filter_ in designed() if 0 < filter_.order <= 8 and filter_.rounded("float32").radius() <= 1][
    ::3
]


class Settling:
    """Noise through one filter on eight channels: the truth, stepping, and all that segments settle."""

    def __init__(self, filter_: Filter, dtype: str, monkeypatch: pytest.MonkeyPatch, start: float = 0) -> None:
        rounded = filter_.rounded(dtype)
        b, a = (np.array([taps] * ROWS, dtype)[None, :, None] for taps in (rounded.feedforward, rounded.feedback))
        x = np.random.default_rng(0).standard_normal((1, ROWS, LENGTH)).astype(dtype)
        x[..., : LENGTH // 8] += start
        x_spec, *taps = (Spec(part.shape, dtype, "numpy", "cpu") for part in (x, b, a))
        problem, operands = canonical_problem(x_spec, *taps, "BCT", False), Operands(x, b, a, None, None)
        wide = (part.astype(np.longdouble) for part in (b[0, 0, 0], np.r_[1, -a[0, 0, 0]], x[0]))
        self.truth = signal.lfilter(*wide)
        stepped, y = np.empty_like(x), np.empty_like(x)
        run_forward(problem, operands, stepped, None)
        self.lost = _root_mean_square(stepped[0] - self.truth)
        self.lost_late = _root_mean_square((stepped[0] - self.truth)[:, LENGTH // 2 :])
        cut = _segments._Cut(problem, operands, 0)
        self.begun = np.arange(1, cut.count) * cut.size - 1
        self.runs: list[tuple[Carries, np.ndarray, np.ndarray]] = []
        settle = Carries.settle

        def watched(carries: Carries, first: np.ndarray, alone: np.ndarray, run: Callable[..., np.ndarray]) -> object:
            def noted(starts: np.ndarray) -> np.ndarray:
                ends = run(starts)
                self.runs.append((carries, starts.copy(), ends.copy()))
                return ends

            return settle(carries, first, alone, noted)

        monkeypatch.setattr(Carries, "settle", watched)
        self.error = self.error_late = np.nan
        if _segments.forward(problem, operands, y, None, run_forward):
            self.error = _root_mean_square(y[0] - self.truth)
            self.error_late = _root_mean_square((y[0] - self.truth)[:, LENGTH // 2 :])
        self.eps = np.finfo(dtype).eps * _root_mean_square(self.truth)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("filter_", FILTERS, ids=lambda filter_: filter_.name)
def test_what_is_handed_on_is_as_wrong_as_is_said(filter_, dtype, monkeypatch):
    settling = Settling(filter_, dtype, monkeypatch)
    for carries, starts, ends in settling.runs:
        missed = _missed(starts[:, 1:], ends[:, :-1])
        said = carries._carried(np.zeros_like(missed[:, 0]), missed)[..., -1]
        wrong = settling.truth[:, settling.begun] - starts[:, 1:, -1]
        # of what is wrong, powers that are trusted miss less than a thousandth
        missed_by = _root_mean_square(said[:, 1:] - wrong) - 1e-3 * _root_mean_square(wrong)
        assert missed_by <= 3 * settling.lost + 4 * settling.eps
    assert np.isnan(settling.error) or settling.error <= 3 * settling.lost + 4 * settling.eps


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda filter_: filter_.name)
def test_stepping_loses_no_less_than_a_third_of_what_is_said(filter_, monkeypatch):
    settling = Settling(filter_, "float64", monkeypatch)
    for carries, _, ends in settling.runs[:1]:
        assert 0 < _root_mean_square(carries.lost(ends)) <= 3 * settling.lost


@pytest.mark.parametrize("name", ["high-pass 20 Hz @ 48000", "notch 50 Hz, Q 30 @ 48000", "K-weighting, high-pass"])
def test_a_loud_start_hides_nothing_that_comes_after(name, monkeypatch):
    (filter_,) = (filter_ for filter_ in designed() if filter_.name == name)
    settling = Settling(filter_, "float32", monkeypatch, start=1e4)
    assert settling.error_late <= 3 * settling.lost_late
