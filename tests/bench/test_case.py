"""Cases are the same everywhere, stable, and honest about their traffic."""

from __future__ import annotations

import numpy as np
import pytest

from multirec.bench._case import Case, noise
from multirec.bench._oracle import Oracle, masked, window_of, windowed
from multirec.bench._plan import predict, probe_lengths, rounds, share


@pytest.mark.parametrize("order", [1, 2, 3, 7, 16])
def test_coefficients_are_stable_and_rounded_once(order: int) -> None:
    case = Case(channels=33, order=order)
    b, a = case.coefficients()
    assert b.shape == a.shape == (33, order + 1)
    assert b.dtype == a.dtype == np.float32
    assert (a[:, 0] == 1).all()
    assert max(abs(np.roots(row)).max() for row in a.astype(np.float64)) < 0.999
    assert (Case(channels=33, order=order).coefficients()[1] == a).all()


def test_order_two_is_the_forums_band_pass() -> None:
    b, _ = Case().coefficients()
    assert (b[:, 1] == 0).all()
    assert (b[:, 2] == -b[:, 0]).all()


def test_noise_repeats_with_a_period_that_lines_up_with_nothing() -> None:
    array = noise((3, 500_000), "float32", seed=1)
    assert array.shape == (3, 500_000)
    assert abs(array.mean()) < 0.01
    assert not (array[0] == array[1]).any()


def test_traffic_of_the_forums_case() -> None:
    case = Case()
    x, y = 32 * 16000 * 4, 32 * 128 * 16000 * 4
    assert case.traffic("forward") == x + y
    assert case.traffic("forward+backward") == 3 * x + 2 * y


def test_the_oracle_sees_a_wrong_gradient() -> None:
    case = Case(batch=2, channels=9, length=50)
    oracle = Oracle(case)
    right = {"y": oracle.y} | oracle.gradients
    assert oracle.judge("forward+backward", case.y_shape, "float32", right).fault == ""
    for name in ("x", "feedforward", "feedback"):
        wrong = right | {name: right[name] * 1.03}
        assert name in oracle.judge("forward+backward", case.y_shape, "float32", wrong).fault
        absent = {key: value for key, value in right.items() if key != name}
        assert name in oracle.judge("forward+backward", case.y_shape, "float32", absent).fault


def test_the_window_covers_both_ends_of_the_bank() -> None:
    case = Case(batch=3, channels=100, length=4000)
    channels, length = window_of(case)
    assert channels[0] == 0
    assert channels[-1] == 99
    assert len(channels) == 8
    assert length == 4000
    signals = masked(case, case.signals("forward+backward"))
    assert signals.grad_y is not None
    assert (signals.grad_y != 0).sum() == 3 * 8 * 4000
    assert (windowed(case, {"y": signals.grad_y})["y"] == case.grad_y_part(channels, length)).all()
    assert windowed(case, {"y": signals.grad_y})["y"].shape == (3, 8, 4000)


def test_prediction_follows_growth_that_stands_out_of_the_noise() -> None:
    quadratic = [(length, 1e-6 * length**2) for length in probe_lengths(16000)]
    assert predict(quadratic, 16000) == pytest.approx(256)
    noisy = [(31, 1e-5), (62, 1e-3)]
    assert predict(noisy, 16000) < 0.5


def test_shares_and_rounds() -> None:
    counts = share([0.01, 0.1, 5.0], 20.0)
    assert counts[2] == 1
    assert counts[0] > counts[1] > counts[2]
    turns = list(rounds(counts, seed=0))
    assert [sum(who in turn for turn in turns) for who in range(3)] == counts
    assert turns == list(rounds(counts, seed=0))
    assert set(turns[0]) == {0, 1, 2}
    assert share([100.0, 50.0], 1.0) == [1, 1]
