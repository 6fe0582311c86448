"""Verdicts keep their promises on samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from multirec.bench.results import statistics


def called(seed: int, factor: float, noise: float, rounds: int, drift: float = 0.0) -> str:
    """Return the verdict on a contestant that takes `factor` times as long as the reference."""
    rng = np.random.default_rng(seed)
    machine = 1 + drift * np.arange(rounds) / rounds
    reference, copy, contestant = (
        dict(enumerate(machine * scale * np.exp(noise * rng.standard_normal(rounds)))) for scale in (1, 1, factor)
    )
    same = statistics.paired(reference, copy)
    found = statistics.ratio(statistics.paired(reference, contestant), statistics.noise(same))
    assert found is not None
    return statistics.verdict(found, statistics.floor(same))


@pytest.mark.parametrize("rounds", [6, 12, 40, 100])
@pytest.mark.parametrize("noise", [0.001, 0.01, 0.05, 0.3])
def test_the_same_is_called_a_tie(noise: float, rounds: int) -> None:
    verdicts = [called(seed, 1.0, noise, rounds) for seed in range(100)]
    assert verdicts.count("faster") + verdicts.count("slower") <= 1
    # six rounds that stray by a third show no tie, and are called unclear
    assert verdicts.count("tie") >= (95 if rounds >= 12 else 90 if noise < 0.3 else 0)


@pytest.mark.parametrize("drift", [0.0, 0.5])
@pytest.mark.parametrize("noise", [0.001, 0.01, 0.05])
def test_a_tenth_slower_is_called_slower(noise: float, drift: float) -> None:
    verdicts = [called(seed, 1.1, noise, 40, drift) for seed in range(100)]
    assert verdicts.count("slower") >= 90


@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
def test_a_few_rounds_tell_a_large_difference_and_no_small_one(rounds: int) -> None:
    verdicts = [called(seed, 20.0, 0.02, rounds) for seed in range(50)]
    assert verdicts.count("slower") == 50
    assert "slower" not in [called(seed, 1.03, 0.02, rounds) for seed in range(50)]


def test_an_interval_holds_the_median_it_is_of() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        found = statistics.interval(list(np.exp(0.2 * rng.standard_normal(25))))
        assert found is not None
        assert found.low <= found.median <= found.high
        hits += found.low <= 1.0 <= found.high
    assert hits >= 270


def test_nothing_is_made_of_nothing() -> None:
    assert statistics.interval([]) is None
    assert statistics.ratio([], 0.1) is None
    assert statistics.floor([]) is None
    assert statistics.paired({0: 1.0}, {1: 1.0}) == []
