"""The oracle itself: against plain autograd, SciPy, and finite differences of nothing but the equation."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.signal import lfilter

from multirec.testing import Case, arguments, expected, mismatch
from multirec.testing.autograd import expected_by_autograd
from multirec.testing.cover import edge_cases, pair_cases
from multirec.testing.strategies import cases


def assert_oracles_agree(case):
    want, other = expected(case), expected_by_autograd(case)
    assert want.values.keys() == other.keys()
    for name, value in want.values.items():
        # both are float64 throughout: what half and single types allow would be far too much
        limit = np.minimum(want.bounds[name], 1e-11 * (1 + np.abs(value).max(initial=0)))
        assert mismatch(name, other[name], value, limit) is None


@pytest.mark.parametrize("case", [*pair_cases()[::2], *edge_cases("float64")], ids=repr)
def test_the_reference_agrees_with_autograd(case):
    assert_oracles_agree(case)


@given(cases())
@settings(max_examples=20)
def test_the_reference_agrees_with_autograd_anywhere(case):
    assert_oracles_agree(case)


@pytest.mark.parametrize(("input_order", "order"), [(0, 1), (2, 2), (4, 1), (1, 5)])
def test_the_reference_agrees_with_scipy(input_order, order):
    case = Case(input_order=input_order, order=order, length=60, state="none")
    given_ = arguments(case)
    want = expected(case).values["y"]
    for index in np.ndindex(*case.batch, case.channels):
        channel = index[-1]
        y = lfilter(given_.feedforward[channel], np.r_[1.0, -given_.feedback[channel]], given_.x[index])
        np.testing.assert_allclose(want[index], y, rtol=1e-12, atol=1e-12)


def test_the_bounds_are_not_loose():
    """A relative error of a hundred times the roundoff is seen, in every result and data type."""
    for dtype, roundoff in (("float64", 2.0**-53), ("float32", 2.0**-24)):
        want = expected(Case(dtype=dtype))
        for name, value in want.values.items():
            assert mismatch(name, value, value, want.bounds[name]) is None
            largest = np.abs(value).max()
            assert mismatch(name, value + 400 * roundoff * largest, value, want.bounds[name]) is not None
