"""Poles, zeros and stability, against SciPy and exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from filters import DESIGNS
from scipy import signal

import multirec as mr
from multirec import analysis, nn


@pytest.mark.parametrize(("b", "a"), DESIGNS.values(), ids=DESIGNS)
def test_poles_and_zeros_are_scipys(b, a):
    bank = mr.RecurrenceBank.from_ba(b, a)
    zeros, poles, _ = signal.tf2zpk(b, a)
    for found, expected in ((analysis.poles(bank)[0], poles), (analysis.zeros(bank)[0], zeros)):
        assert len(found) == len(expected)
        # each is one of the others: they have no order
        distance = abs(found[:, None] - expected)
        assert (distance.min(0, initial=np.inf) < 1e-6).all()
        assert (distance.min(1, initial=np.inf) < 1e-6).all()


def test_roots_at_zero_at_infinity_and_nowhere():
    bank = mr.RecurrenceBank.from_ba([[0, 2, -1, 0], [0, 0, 0, 0], [1, 2, 1, 0], [0, 0, 0, 3]], 1.0)
    zeros = analysis.zeros(bank)
    np.testing.assert_array_equal(zeros[0], [np.inf, 0.5, 0])
    assert np.isnan(zeros[1]).all()
    np.testing.assert_array_equal(zeros[2], [-1, -1, 0])
    np.testing.assert_array_equal(zeros[3], [np.inf] * 3)
    assert analysis.poles(bank).shape == (4, 0)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-3, 1.0])
def test_close_poles_of_second_order_are_told_apart(angle):
    radius = 1 - 2.0**-20
    feedback = np.array([[2 * radius * np.cos(angle), -(radius**2)]])
    (first, second) = analysis.poles(mr.RecurrenceBank(feedback=feedback))[0]
    assert first == second.conj()
    inside = Fraction(feedback[0, 0]) ** 2 / 4 + Fraction(feedback[0, 1])
    np.testing.assert_allclose(abs(first.imag), np.sqrt(-float(inside)), rtol=1e-15)


MARGINS = {
    "pair": ([2 * 0.9 * np.cos(0.3), -0.81], 0.1),
    "one and a half ulp": ([0.0, -(1 - 2.0**-52)], 2.0**-53),
    "real, near 1": ([1 - 2.0**-50], 2.0**-50),
    "double, near 1": ([2 - 2.0**-19, -((1 - 2.0**-20) ** 2)], 2.0**-20),
    "real, near -1": ([-(1 - 2.0**-50), 0.0], 2.0**-50),
    "on the circle": ([2 * np.cos(0.3), -1.0], 0.0),
    "integrators": ([2.0, -1.0], 0.0),
    "both ends": ([0.0, 1.0], 0.0),
    "outside": ([2.5, -1.0], -1.0),
    "far outside": ([4.0, -4.0], -1.0),
    "weak": ([0.0, 0.0], 1.0),
}


@pytest.mark.parametrize(("feedback", "margin"), MARGINS.values(), ids=MARGINS)
def test_margins_up_to_second_order_are_exact_to_rounding(feedback, margin):
    bank = mr.RecurrenceBank(feedback=np.array([feedback]))
    np.testing.assert_allclose(analysis.stability_margin(bank), [margin], rtol=1e-15, atol=0)
    assert analysis.is_stable(bank) == [margin > 0]


def test_layers_of_any_order_are_stable_up_to_the_circle():
    torch.manual_seed(0)
    for order in (1, 2, 3, 5, 8, 16):
        layer = nn.FilterBank(64, order=order, dtype=torch.float64)
        with torch.no_grad():
            layer.reflection_weight.mul_(3)
        assert analysis.is_stable(layer).all()
        assert (analysis.stability_margin(layer) > 0).all()


def test_of_high_order_unstable_filters_are_found():
    poles = np.array([0.9, -0.5, 0.3 + 0.7j, 0.3 - 0.7j])
    bank = mr.RecurrenceBank(feedback=np.stack([-np.poly(poles)[1:], -np.poly(poles * 1.2)[1:]]))
    np.testing.assert_array_equal(analysis.is_stable(bank), [True, False])
    np.testing.assert_allclose(analysis.stability_margin(bank), [0.1, 1 - 1.08], atol=1e-12)


def test_a_cascade_is_as_stable_as_its_least_stable_section():
    cascade = mr.RecurrenceBank.from_sos([[[1, 0, 0, 1, -0.5, 0], [1, 0, 0, 1, 0, 0.81]], [[1, 0, 0, 1, 0, 0]] * 2])
    np.testing.assert_allclose(analysis.stability_margin(cascade), [0.1, 1.0])
    assert analysis.poles(cascade).shape == (2, 4)
    worse = mr.RecurrenceBank.from_sos([[1, 0, 0, 1, -0.5, 0], [1, 0, 0, 1, -1.5, 0]])
    assert not analysis.is_stable(worse)[0]


def test_what_is_not_finite_is_not_stable():
    bank = mr.RecurrenceBank(feedback=np.array([[np.nan, 0.1], [0.1, np.inf], [0.5, 0.2]]))
    np.testing.assert_array_equal(analysis.is_stable(bank), [False, False, True])
    assert np.isnan(analysis.poles(bank)[:2]).all()
    high = mr.RecurrenceBank(feedback=np.array([[np.nan, 0.1, 0], [0.1, 0.2, 0.3]]))
    np.testing.assert_array_equal(analysis.is_stable(high), [False, True])
    assert np.isnan(analysis.stability_margin(high)[0])
