"""Forwards and backwards, initial states, decimation and division: SciPy's values, and what is better than SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch

from multirec import signal
from multirec.signal import _filtfilt
from multirec.signal._coefficients import transfer
from multirec.signal._gust import gustafsson
from multirec.signal._lowpass import chebyshev_sos, hamming_lowpass

RNG = np.random.default_rng(1)
B, A = scipy.signal.butter(3, 0.2)
SOS = scipy.signal.butter(5, 0.3, output="sos")
X = RNG.standard_normal((3, 60, 2))


def close(actual: Any, expected: Any, atol: float = 1e-10) -> None:
    assert tuple(actual.shape) == expected.shape
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("padtype", ["odd", "even", "constant", None])
@pytest.mark.parametrize("padlen", [None, 0, 1, 11])
def test_padding_is_scipys(padtype, padlen, axis):
    x = np.moveaxis(X, 1, axis)
    close(signal.filtfilt(B, A, x, axis, padtype, padlen), scipy.signal.filtfilt(B, A, x, axis, padtype, padlen))
    close(signal.sosfiltfilt(SOS, x, axis, padtype, padlen), scipy.signal.sosfiltfilt(SOS, x, axis, padtype, padlen))


@pytest.mark.parametrize("order", range(1, 8))
def test_the_ordinary_padding_is_scipys(order):
    for band in ("low", "high"):
        b, a = scipy.signal.butter(order, 0.3, band)
        sos = scipy.signal.butter(order, 0.3, band, output="sos")
        close(signal.filtfilt(b, a, X, 1), scipy.signal.filtfilt(b, a, X, 1))
        close(signal.sosfiltfilt(sos, X, 1), scipy.signal.sosfiltfilt(sos, X, 1))
        close(signal.sosfiltfilt(torch.tensor(sos), torch.tensor(X), 1), scipy.signal.sosfiltfilt(sos, X, 1))


def test_a_bank_is_scipys_filters_in_a_loop():
    b, a = np.stack([B, 2 * B]), np.stack([A, scipy.signal.butter(3, 0.4)[1]])
    for x in (X[:2, :, 0], X[:1, :, 0], X[0, :, 0]):
        given = np.broadcast_to(x, (2, 60))
        rows = [scipy.signal.filtfilt(*row) for row in zip(b, a, given, strict=True)]
        close(signal.filtfilt(b, a, x), np.stack(rows))


def test_x_is_left_as_it_was():
    for x in (X.copy(), torch.tensor(X)):
        signal.sosfiltfilt(SOS, x, axis=1)
        signal.filtfilt(B, A, x, axis=1, padlen=0)
        close(x, X, 0)


def test_the_way_back_is_in_the_memory_of_the_way_there():
    given = []
    kept = _filtfilt.cascade

    def watched(*arguments: Any, out: Any = None, **options: Any) -> Any:
        given.append(out)
        return kept(*arguments, out=out, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_filtfilt, "cascade", watched)
        for x in (X, torch.tensor(X)):
            y = signal.sosfiltfilt(SOS, x, axis=1)
            assert np.shares_memory(np.asarray(y), np.asarray(given[-1]))
        signal.sosfiltfilt(SOS, torch.tensor(X, requires_grad=True), axis=1)
        assert given[-1] is None


@pytest.mark.parametrize("irlen", [None, 12])
@pytest.mark.parametrize("filters", [(B, A), ([0.5, 0.5], [1.0]), ([1.0], [2.0, -1.0]), ([3.0], [2.0])])
@pytest.mark.parametrize("x", [X, 1j * X, X[:, :1]], ids=["real", "complex", "one sample"])
def test_gustafssons_method_is_scipys(filters, irlen, x):
    expected = scipy.signal.filtfilt(*filters, x, axis=1, method="gust", irlen=irlen)
    close(signal.filtfilt(*filters, x, axis=1, method="gust", irlen=irlen), expected)


def test_both_orders_agree_with_complex_coefficients():
    # SciPy leaves out the imaginary part of a response
    b, a, x = np.array([1.0, 0.5 + 1j]), np.array([1.0, -0.3 - 0.4j]), X[0, :, :1].T + 1j * X[0, :, 1:].T
    y, forward, backward = gustafsson(transfer(b, a, x, x.dtype), x[None], None, "auto")

    def both_ways(x: np.ndarray, first: np.ndarray, then: np.ndarray) -> np.ndarray:
        once, _ = scipy.signal.lfilter(b, a, x, zi=first[0])
        return scipy.signal.lfilter(b, a, once[:, ::-1], zi=then[0])[0][:, ::-1]

    close(y[0], both_ways(x, forward, backward))
    close(y[0, :, ::-1], both_ways(x[:, ::-1], backward, forward))


def test_gustafssons_method_of_a_bank():
    b, a = np.stack([B, 2 * B]), np.stack([A, scipy.signal.butter(3, 0.4)[1]])
    for x in (X[:, :, 0], X[:1, :, 0]):
        rows = [scipy.signal.filtfilt(b[row], a[row], x[min(row, len(x) - 1)], method="gust") for row in range(2)]
        close(signal.filtfilt(b, a, x[:2], method="gust"), np.stack(rows))


@pytest.mark.parametrize("order", [1, 2, 5])
def test_a_filter_at_rest_stays_there(order):
    b, a = scipy.signal.butter(order, [0.1, 0.3], "bandstop")
    zi = signal.lfilter_zi(b, a)
    close(zi, scipy.signal.lfilter_zi(b, a), 1e-6)
    y, zf = signal.lfilter(b, a, np.ones(50), zi=zi)
    close(y, np.ones(50), 1e-6)
    close(zf, zi, 1e-6)


def test_states_of_banks_are_those_of_their_filters():
    b, a = RNG.standard_normal((3, 4)), np.array([[1.0, 0.5, 0.1], [2.0, 0.3, -0.4], [0.5, -0.1, 0.2]])
    sos = np.stack([scipy.signal.butter(4, edge, output="sos") for edge in (0.1, 0.3, 0.6)])
    y, x = RNG.standard_normal((2, 5, 3, 2))
    close(signal.lfilter_zi(b, a), np.stack([scipy.signal.lfilter_zi(*row) for row in zip(b, a, strict=True)]))
    close(signal.sosfilt_zi(sos), np.stack([scipy.signal.sosfilt_zi(row) for row in sos], 1))
    rows = [[scipy.signal.lfiltic(b[c], a[c], y[n, c], x[n, c]) for c in range(3)] for n in range(5)]
    close(signal.lfiltic(b, a, y, x), np.array(rows))
    close(signal.lfiltic(b, a, torch.tensor(y), torch.tensor(x)), np.array(rows))
    close(signal.lfiltic(b, a, y[0]), np.stack([scipy.signal.lfiltic(b[c], a[c], y[0, c]) for c in range(3)]))


@pytest.mark.parametrize(("b", "a"), [([1, 2], [1]), ([1], [1, 2, 3]), ([1, 2, 3, 4], [2, 1]), ([2], [4])])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_lfiltic_takes_as_many_samples_as_there_are(b, a, count):
    y, x = RNG.standard_normal((2, count))
    close(signal.lfiltic(b, a, y, x), scipy.signal.lfiltic(b, a, y, x))


def test_a_filter_that_never_comes_to_rest():
    for call in (
        lambda: signal.lfilter_zi([1.0], [1.0, -1.0]),
        lambda: signal.sosfilt_zi([[1.0, 0, 0, 1, -1, 0]]),
        lambda: signal.filtfilt([1.0], [1.0, -1.0], np.ones(20)),
    ):
        with pytest.raises(ValueError, match="pole at z = 1"):
            call()


@pytest.mark.parametrize("order", range(9))
@pytest.mark.parametrize("edge", [0.4, 0.02])
def test_the_lowpass_is_scipys(order, edge):
    _, ours = scipy.signal.freqz_sos(np.array(chebyshev_sos(order, 0.05, edge)), 64)
    _, expected = scipy.signal.freqz_sos(scipy.signal.cheby1(order, 0.05, edge, output="sos"), 64)
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    close(np.array(hamming_lowpass(order + 1, edge)), scipy.signal.firwin(order + 1, edge), 1e-14)


@pytest.mark.parametrize("q", [2, 5, 13])
@pytest.mark.parametrize("zero_phase", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"n": 5}, {"n": 0}, {"ftype": "fir"}, {"ftype": "fir", "n": 3}, {"ftype": "fir", "n": 700}]
)
def test_decimate_is_scipys(q, zero_phase, options):
    x = RNG.standard_normal((2, 200))
    for dtype, atol in (("float64", 1e-9), ("float32", 1e-4), ("complex128", 1e-9), ("int16", 1e-7)):
        given = (100 * x).astype(dtype) if dtype == "int16" else x.astype(dtype)
        expected = scipy.signal.decimate(given, q, zero_phase=zero_phase, **options)
        found = signal.decimate(given, q, zero_phase=zero_phase, **options)
        assert found.dtype == expected.dtype
        close(found, expected, atol)
    close(
        signal.decimate(x.T, q, axis=0, zero_phase=zero_phase, **options),
        signal.decimate(x, q, zero_phase=zero_phase, **options).T,
    )
    close(
        signal.decimate(torch.tensor(x), q, zero_phase=zero_phase, **options),
        signal.decimate(x, q, zero_phase=zero_phase, **options),
    )


@pytest.mark.parametrize(
    "given", [([1.0, 2, 3, 4, 5], [1.0, 0.5]), ([1, 2, 3], [2, 1]), ([1, 2j, 3], [1, 1]), ([3.0], [2.0])]
)
def test_deconvolve_is_scipys(given):
    for own, expected in zip(signal.deconvolve(*given), scipy.signal.deconvolve(*given), strict=True):
        close(own, expected)
    assert signal.deconvolve([1], [1, 2])[0].dtype == np.float64
    quotient, remainder = signal.deconvolve(torch.tensor(given[0]).cdouble(), list(given[1]))
    close(remainder, scipy.signal.deconvolve(*given)[1])
    assert isinstance(quotient, torch.Tensor)
