"""Cascades from zeros, poles and gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

import multirec as mr
from multirec.errors import ArgumentError, ShapeError

BANDS = {"lowpass": 0.1, "highpass": 0.001, "bandpass": [0.1, 0.2], "bandstop": [0.01, 0.02]}


@pytest.mark.parametrize("order", [1, 2, 5, 8])
@pytest.mark.parametrize("kind", BANDS)
def test_the_response_is_scipys(kind: str, order: int) -> None:
    for design in (signal.butter, signal.bessel, lambda *args, **how: signal.ellip(args[0], 1, 60, *args[1:], **how)):
        zpk = design(order, BANDS[kind], kind, output="zpk")
        sos = mr.RecurrenceBank.from_zpk(*zpk).sos()[0]
        assert sos.shape == signal.zpk2sos(*zpk).shape
        _, response = signal.sosfreqz(sos, 512)
        _, expected = signal.freqz_zpk(*zpk, 512)
        np.testing.assert_allclose(response, expected, rtol=1e-7, atol=1e-9)


def test_poles_nearest_to_the_circle_come_last_with_the_nearest_zeros() -> None:
    z, p, k = signal.ellip(6, 1, 60, 0.2, output="zpk")
    sos = mr.RecurrenceBank.from_zpk(z, p, k).sos()[0]
    radii = [np.abs(np.roots(row[3:])).max() for row in sos]
    assert radii == sorted(radii)
    last_zero, last_pole = np.roots(sos[-1, :3]), np.roots(sos[-1, 3:])
    assert np.abs(last_zero - last_pole[0]).min() == pytest.approx(np.abs(z - last_pole[0]).min())


def test_a_bank_and_unequal_numbers_of_roots() -> None:
    sos = mr.RecurrenceBank.from_zpk([[0.5, 0.2, -0.1]] * 2, [0.5], [2.0, 1.0]).sos()
    assert sos.shape == (2, 2, 6)
    for row, gain in zip(sos, (2.0, 1.0), strict=True):
        b, a = signal.sos2tf(row)
        expected = signal.zpk2tf([0.5, 0.2, -0.1], [0.5], gain)
        np.testing.assert_allclose(np.trim_zeros(b, "b"), expected[0], atol=1e-15)
        np.testing.assert_allclose(np.trim_zeros(a, "b"), expected[1], atol=1e-15)
    np.testing.assert_array_equal(mr.RecurrenceBank.from_zpk([], [], 3).sos(), [[[3, 0, 0, 1, 0, 0]]])


BAD: list[tuple[Any, Any, Any, type[Exception], str]] = [
    ([1j], [0.5], 1, ArgumentError, "z of filter 0 has complex numbers without their conjugates"),
    ([1.0], [0.5j, 0.5j], 1, ArgumentError, "p of filter 0"),
    ([[1.0]] * 2, [[0.5]] * 3, 1, ShapeError, "the same number C of filters"),
    ([1.0], [0.5], 1j, ShapeError, "it is a real number"),
    ([[[1.0]]], [0.5], 1, ShapeError, "z has shape"),
]


@pytest.mark.parametrize(("z", "p", "k", "error", "message"), BAD)
def test_bad_roots(z: Any, p: Any, k: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mr.RecurrenceBank.from_zpk(z, p, k)
