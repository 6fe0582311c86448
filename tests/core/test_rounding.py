"""Designs that float32 cannot hold, judged by their response."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from designs import EDGE, HELD, NOISE, RNG, SPOILED, normalised, notch
from scipy import signal

import multirec as mr
from multirec._engine import rounding
from multirec._engine.rounding import TOLERANCE, damage


def change_everywhere(b: np.ndarray, a: np.ndarray) -> float:
    """Return by how much rounding changes the response, or inf, from very many frequencies."""
    denominators = [np.r_[1.0, -a[0]], np.r_[1.0, -a[0].astype(np.float32).astype(float)]]
    numerators = [b[0], b[0].astype(np.float32).astype(float)]
    if np.abs(np.roots(denominators[1])).max() >= 1:
        return np.inf
    poles = np.roots(denominators[0])
    near = [np.angle(pole) + (1 - abs(pole)) * np.linspace(-10, 10, 2001) for pole in poles]
    omega = np.concatenate([np.linspace(0, np.pi, 20001), np.geomspace(1e-7, np.pi, 20001), *near])
    before, after = (signal.freqz(*pair, worN=omega)[1] for pair in zip(numerators, denominators, strict=True))
    return float(np.abs(after - before).max() / np.abs(before).max())


@pytest.mark.parametrize("name", HELD)
def test_ordinary_filters_are_held(name: str) -> None:
    b, a = normalised(*HELD[name])
    assert damage(b, a) == ""
    assert change_everywhere(b, a) <= TOLERANCE


@pytest.mark.parametrize("name", SPOILED)
def test_filters_that_need_more_digits_are_found(name: str) -> None:
    b, a = normalised(*SPOILED[name])
    assert damage(b, a)
    assert change_everywhere(b, a) > TOLERANCE
    assert damage(b.astype(np.float32).astype(float), a.astype(np.float32).astype(float)) == ""


def test_the_bound_clears_no_filter_that_is_spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    radius = 1 - 10 ** RNG.uniform(-6, -0.3, (2000, 2))
    poles = radius * np.exp(1j * 10 ** RNG.uniform(-4, 0.4, (2000, 2)))
    feedback = np.array([-np.poly([*pair, *pair.conj()]).real[1:] for pair in poles])
    feedforward = RNG.standard_normal((2000, 3)) * 10 ** RNG.uniform(-6, 3, (2000, 1))
    own = rounding._Filters(feedforward, feedback)
    cleared = rounding._surely_held(own, own.rounded())
    assert 100 < cleared.sum() < 1900
    monkeypatch.setattr(rounding, "_surely_held", lambda own, rounded: np.zeros(len(own.feedback), bool))
    assert damage(feedforward[cleared], feedback[cleared]) == ""
    assert damage(feedforward[~cleared], feedback[~cleared])


@pytest.mark.parametrize("name", EDGE)
def test_filters_that_cannot_be_told_from_unstable_are_not_held(name: str) -> None:
    b, a = normalised(*EDGE[name])
    assert damage(b, a)
    assert damage(b.astype(np.float32).astype(float), a.astype(np.float32).astype(float)) == ""


def test_a_filter_at_the_edge_is_finite() -> None:
    b, a = EDGE["high-pass 1 Hz @ 48k, order 4"]
    y, _ = mr.RecurrenceBank.from_ba(b, a)(NOISE)
    assert np.isfinite(y).all()


@pytest.mark.parametrize(("b", "a"), [([0.1], [1, -1]), ([0.1, 0.3], [1, -2, 1]), ([0.0], [1, -1.999, 0.99911])])
def test_accumulators_and_silence_are_held(b: list[float], a: list[float]) -> None:
    assert damage(*normalised(b, a)) == ""


def test_taps_beyond_the_range_are_found() -> None:
    taps = np.array([[0.1, 0.2], [1e39, 0]])
    assert damage(taps, None) == "filter 1 is beyond the range of float32"
    assert damage(taps[:1], None) == ""
    assert damage(np.array([[1e-47]]), None) == "filter 0 is off by 100.0% of the largest response"
    y, _ = mr.RecurrenceBank.from_ba([1e39], [1.0])(np.full((1, 1, 2), 1e-10, np.float32))
    np.testing.assert_allclose(y, 1e29, rtol=1e-6)


def test_very_many_filters_are_looked_at_in_parts() -> None:
    angle = RNG.uniform(0.1, 3, 50000)
    feedback = np.stack([1.8 * np.cos(angle), np.full(angle.shape, -0.81)], -1)
    tracemalloc.start()
    assert damage(None, feedback) == ""
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    feedback[[40000, 40001, 49999]] = 1.999, -0.9990001
    assert damage(None, feedback).startswith("filters 40000, 40001")


def test_channels_are_named() -> None:
    spoiled, held = normalised(*notch(30)), normalised(*notch(10))
    bank = [np.concatenate([one, two, one, one, one]) for one, two in zip(spoiled, held, strict=True)]
    assert damage(*bank) == "filters 0, 2, 3, … are off by 2.5% of the largest response"
    per_example = [part.reshape(5, 1, -1) for part in bank]
    assert damage(*per_example).startswith("filter 0 is off by 2.5%")
    assert damage(bank[0][:1], bank[1]).startswith("filters 0, 2, 3, …")


@pytest.mark.parametrize(
    ("b", "a"),
    [
        (None, [[1.1]]),
        (None, [[1.0]]),
        (None, [[np.inf, 0.5]]),
        ([[np.nan]], [[0.1]]),
        (None, [[1e308, -1e308]]),
        (None, np.zeros((0, 2))),
        (None, np.zeros((2, 0))),
        ([[0.1]], None),
    ],
)
def test_what_has_no_response_is_not_judged(b: Any, a: Any) -> None:
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert damage(None if b is None else np.asarray(b), None if a is None else np.asarray(a)) == ""


def test_complex_filters_are_judged() -> None:
    pole = (1 - 1e-6) * np.exp(0.3j)
    assert damage(None, np.array([[0.9 * np.exp(0.3j)]])) == ""
    assert "filter 0" in damage(None, np.array([[pole]]))
