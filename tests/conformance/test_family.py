"""The family of designed filters: what it holds, and that its designs are SciPy's."""

import numpy as np
import pytest
from scipy import signal

from multirec.testing import _prototypes as prototypes
from multirec.testing.family import designed, family, marginal

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
ORDERS = range(1, 9)


def assert_same(design, b, a):
    own_b, own_a = prototypes.polynomial(design)
    np.testing.assert_allclose(own_b, b, rtol=0, atol=1e-11 * np.abs(b).max())
    np.testing.assert_allclose(own_a, a, rtol=0, atol=1e-11 * np.abs(a).max())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("prototype", "design"),
    [
        (prototypes.butterworth, lambda order, *band: signal.butter(order, *band)),
        (lambda order: prototypes.chebyshev(order, 0.5), lambda order, *band: signal.cheby1(order, 0.5, *band)),
        (lambda order: prototypes.elliptic(order, 1, 40), lambda order, *band: signal.ellip(order, 1, 40, *band)),
    ],
    ids=["butterworth", "chebyshev", "elliptic"],
)
def test_designs_are_scipys(prototype, design, order):
    own = prototype(order)
    assert_same(prototypes.low_pass(own, 0.3), *design(order, 0.3))
    assert_same(prototypes.high_pass(own, 0.01), *design(order, 0.01, "high"))
    assert_same(prototypes.band_pass(own, 0.2, 0.5), *design(order, (0.2, 0.5), "band"))


def test_sections_multiply_to_the_whole():
    design = prototypes.band_pass(prototypes.elliptic(4, 1, 40), 0.2, 0.5)
    sos = [np.r_[b, a] for b, a in prototypes.sections(design)]
    assert_same(design, *signal.sos2tf(sos))


def test_names_and_filters_differ():
    filters = (*designed(), *marginal())
    assert len({filter_.name for filter_ in filters}) == len(filters)
    assert len({filter_[1:] for filter_ in filters}) == len(filters)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_order_is_there(dtype):
    assert {filter_.order for filter_ in family(dtype)} == set(range(1, 17))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_filters_are_stable_as_the_dtype_has_them(dtype):
    impulse = np.zeros(300_000)
    impulse[0] = 1
    for filter_ in family(dtype):
        assert filter_ == filter_.rounded(dtype)
        y = np.abs(signal.lfilter(filter_.feedforward, np.r_[1, -np.array(filter_.feedback)], impulse))
        assert y[150_000:].max() <= y[:150_000].max(), filter_.name


def test_what_rounding_makes_unstable_is_left_out():
    out = {filter_.name for filter_ in designed()} - {filter_.name for filter_ in family("float32")}
    assert {"double pole 0.99999", "high-pass of order 4, 0.5 Hz @ 500", "gammatone 100 Hz"} <= out
    assert {filter_.name for filter_ in family("float64")} == {filter_.name for filter_ in designed()}


def test_designs_let_through_what_they_are_named_for():
    filters = {filter_.name: filter_ for filter_ in designed()}
    for name, rate, frequency, gain in (
        ("high-pass 20 Hz @ 48000", 48000, 20, np.sqrt(0.5)),
        ("DC blocker 20 Hz @ 48000", 48000, 0, 0),
        ("notch 50 Hz, Q 30 @ 48000", 48000, 50, 0),
        ("peak 100 Hz, Q 1, +6 dB", 48000, 100, 10 ** (6 / 20)),
        ("low shelf 100 Hz, -12 dB", 48000, 0, 10 ** (-12 / 20)),
        ("low shelf 100 Hz, -12 dB", 48000, 24000, 1),
        ("high shelf 4000 Hz, +6 dB", 48000, 24000, 10 ** (6 / 20)),
        ("high shelf 4000 Hz, +6 dB", 48000, 0, 1),
        ("K-weighting, shelf", 48000, 24000, 10 ** (4 / 20)),
        ("gammatone 1000 Hz", 16000, 1000, 1),
        ("resonator 0.9999 at 0.3", 2 * np.pi, 0.3, 1),
    ):
        filter_ = filters[name]
        _, response = signal.freqz(
            filter_.feedforward, np.r_[1, -np.array(filter_.feedback)], [frequency], fs=rate, include_nyquist=True
        )
        assert abs(response[0]) == pytest.approx(gain, rel=0.02, abs=1e-6), name
