"""Cases are the same everywhere, stable, and honest about their traffic."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from multirec.backend import HALF_DTYPES
from multirec.bench.cases import by_scipy, window
from multirec.bench.cases.axes import parse_axis
from multirec.bench.cases.case import MODES, Case, Mode
from multirec.bench.cases.judge import judge
from multirec.bench.cases.named import NAMED, case_named, swept
from multirec.bench.cases.reference import Reference, compute, kept, of_channels
from multirec.bench.cases.signals import coefficients, noise, numbers, signals
from multirec.bench.cases.window import Window, canonical, cut_signals, drawn_window, has_time, windowed
from multirec.bench.measure.plan import predict, probe_lengths, rounds, share
from multirec.reference import narrow
from multirec.testing._rounding import ROUNDOFF


@pytest.mark.parametrize("order", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("dtype", ["float32", "complex64", "bfloat16"])
def test_coefficients_are_stable_and_rounded_once(order: int, dtype: str) -> None:
    case = Case(channels=33, order=order, dtype=dtype)
    b, a = coefficients(case)
    assert b is not None
    assert (b.shape, a.shape) == ((33, order + 1), (33, order))
    kept_in = "float32" if dtype == "bfloat16" else dtype
    assert (str(b.dtype), str(a.dtype)) == (kept_in, kept_in)
    wide = np.concatenate([np.ones((33, 1)), -a.astype(np.complex128)], axis=1)
    assert max(abs(np.roots(row)).max() for row in wide) < 0.999
    assert (coefficients(Case(channels=33, order=order, dtype=dtype))[1] == a).all()


def test_order_two_is_a_band_pass() -> None:
    b, _ = coefficients(Case())
    assert b is not None
    assert (b[:, 1] == 0).all()
    assert (b[:, 2] == -b[:, 0]).all()


def test_gates_never_grow() -> None:
    case = replace(case_named("gated"), batch=2, channels=5, length=50, order=3)
    gates = coefficients(case)[1]
    assert gates.shape == (2, 5, 50, 3)
    assert (np.abs(gates).sum(-1) < 1).all()


def test_noise_repeats_with_a_period_that_lines_up_with_nothing() -> None:
    array = noise((3, 500_000), "float32", seed=1)
    assert array.shape == (3, 500_000)
    assert abs(array.mean()) < 0.01
    assert not (array[0] == array[1]).any()


def test_traffic_of_the_default_case() -> None:
    case = Case()
    x, y, taps = 32 * 16000 * 4, 32 * 128 * 16000 * 4, 128 * 5 * 4
    assert case.traffic("forward") == x + y + taps
    assert case.traffic("forward+backward") == 3 * x + 2 * y + 3 * taps


def test_half_types_halve_signals_alone() -> None:
    case = Case(dtype="bfloat16")
    x, y, taps = 32 * 16000 * 2, 32 * 128 * 16000 * 2, 128 * 5 * 4
    assert case.traffic("forward+backward") == 3 * x + 2 * y + 3 * taps
    assert case.describe().endswith("order 2, bfloat16")


@pytest.mark.parametrize("dtype", HALF_DTYPES)
def test_half_signals_are_float32s_rounded(dtype: str) -> None:
    case = replace(case_named("streaming"), dtype=dtype)
    half, single = signals(case, "forward+backward"), signals(replace(case, dtype="float32"), "forward+backward")
    assert half.grad_y is not None
    assert single.grad_y is not None
    for rounded, array in ((half.x, single.x), (half.grad_y, single.grad_y)):
        assert rounded.itemsize == 2
        np.testing.assert_allclose(numbers(rounded), array, rtol=ROUNDOFF[dtype], atol=1e-6)
    assert (half.feedback == single.feedback).all()


@pytest.mark.parametrize("dtype", HALF_DTYPES)
def test_half_outputs_may_be_off_by_one_rounding(dtype: str, tmp_path: Path) -> None:
    case = small("biquads", dtype=dtype)
    window, wanted = referred(case, ["forward"], tmp_path)
    y = of_channels(case, signals(case, "forward"), np.arange(9), 50)["y"]
    right = judge(case, window, wanted, {"y": narrow(y, dtype)})
    assert right.fault == ""
    assert ROUNDOFF[dtype] / 8 < right.errors["y"] <= 2 * ROUNDOFF[dtype]
    assert "values of y off" in judge(case, window, wanted, {"y": narrow(y * (1 + 8 * ROUNDOFF[dtype]), dtype)}).fault
    assert f"float32, expected (2, 9, 50) {dtype}" in judge(case, window, wanted, {"y": y.astype("float32")}).fault
    y[1, 0, 7] = np.inf
    assert "not finite" in judge(case, window, wanted, {"y": narrow(y, dtype)}).fault


SMALL = {"batch": 2, "channels": 9, "length": 50}


def small(name: str, **changes: object) -> Case:
    case = replace(case_named(name), **(SMALL | changes))
    return replace(case, features=5) if case.features else case


@pytest.mark.parametrize("name", NAMED)
def test_the_oracle_sees_a_wrong_gradient(name: str, tmp_path: Path) -> None:
    case = small(name)
    window, wanted = referred(case, MODES, tmp_path)
    names = {"y", "x", "weight"} if case.features else {"y", "x", "feedback"}
    assert set(wanted.arrays) == names | ({"feedforward"} if case.feedforward and not case.features else set())
    whole = of_channels(case, signals(case, "forward+backward"), np.arange(case.channels), case.length)
    outputs = {name: _as_given(case, name, array) for name, array in whole.items()}
    assert judge(case, window, wanted, outputs).fault == ""
    for wrong in set(outputs) - {"y"}:
        assert wrong in judge(case, window, wanted, outputs | {wrong: outputs[wrong] * 1.03}).fault
        not_finite = judge(case, window, wanted, outputs | {wrong: outputs[wrong] * np.nan}).fault
        assert not_finite == f"gradient of {wrong} has values that are not finite"
        missing = {key: value for key, value in outputs.items() if key != wrong}
        assert wrong in judge(case, window, wanted, missing).fault


@pytest.mark.parametrize("name", ["biquads", "dense", "layer", "gated", "streaming", "complex"])
@pytest.mark.parametrize("what", ["y", "x"])
def test_one_row_of_all_that_is_off_after_half_of_its_samples_is_seen(name: str, what: str, tmp_path: Path) -> None:
    case = small(name, channels=20, length=300)
    window, wanted = referred(case, MODES, tmp_path)
    whole = of_channels(case, signals(case, "forward+backward"), np.arange(case.channels), case.length)
    outputs = {key: _as_given(case, key, array) for key, array in whole.items()}
    for factor, fault in ((1 + 1e-7, False), (1.01, True)):
        wrong = outputs[what].copy()
        rows = canonical(wrong, case.layout)
        spared = [] if rows.shape[1] < case.channels else window.channels
        channel = next(channel for channel in range(rows.shape[1]) if channel not in spared)
        rows[1, channel, 150:] *= factor
        assert (f"{what} off by" in judge(case, window, wanted, outputs | {what: wrong}).fault) == fault


def test_a_reference_without_time_says_what_it_covers(tmp_path: Path) -> None:
    case = small("biquads", channels=200, batch=1, length=30_000)
    window = drawn_window(case, 1)
    compute(case, MODES, window, 1, tmp_path, 0.0)
    found = kept(tmp_path, "forward+backward")
    text = found.describe(case, window)
    assert "gradients of coefficients in 8 of 200 channels" in text
    assert f"channels {window.channels[0]}, " in text
    # what channels share is not known of some of them alone, but its sums are
    assert set(found.arrays) == {"y", "feedforward", "feedback"}
    assert found.sums["x"].shape[:2] == (1, 1)


def referred(case: Case, modes: Sequence[Mode], folder: Path) -> tuple[Window, Reference]:
    """Return what is compared in a run, and the reference of it."""
    window = drawn_window(case, 1)
    compute(case, modes, window, 1, folder, 10.0)
    return window, kept(folder, modes[-1])


def _as_given(case: Case, name: str, array: np.ndarray) -> np.ndarray:
    """Return what is canonical in the layout and the data type of the case."""
    array = array.astype(case.dtype)
    if not has_time(case, name):
        return array
    axes = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[case.layout]
    return np.ascontiguousarray(array.transpose(*axes, *range(3, array.ndim)))


@pytest.mark.parametrize("name", ["biquads", "dense", "high-order", "streaming", "complex"])
def test_scipy_agrees_with_the_oracle(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    monkeypatch.setattr(by_scipy, "_SHORT", 0)
    case = small(name)
    found = []
    for place, spec in (("scipy", by_scipy.find_spec), ("oracle", lambda name: None)):
        monkeypatch.setattr(by_scipy, "find_spec", spec)
        _, wanted = referred(case, MODES, tmp_path / place)
        found.append({key: np.array(value) for key, value in wanted.arrays.items()})
    scipys, oracles = found
    assert set(scipys) == set(oracles)
    for key, value in scipys.items():
        np.testing.assert_allclose(value, oracles[key], rtol=1e-9, atol=1e-9 * np.abs(value).max())


def test_the_window_is_eight_channels_at_full_length_where_scipy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(batch=3, channels=100, length=4000)
    channels, length = drawn_window(case, 7)
    assert (len(set(channels)), length) == (8, 4000)
    assert windowed(case, drawn_window(case, 7), {"y": np.zeros(case.y_shape)})["y"].shape == (3, 8, 4000)
    assert drawn_window(case_named("long"), 7).length == 10_000_000
    monkeypatch.setattr(window, "find_spec", lambda name: None)
    assert drawn_window(case_named("long"), 7).length == 100_000


def test_a_gradient_that_is_not_compared_to_the_end_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_LONGEST_LOOP", 30)
    case = small("gated")
    grad_y = cut_signals(case, "forward+backward", drawn_window(case, 0)).grad_y
    assert grad_y is not None
    assert grad_y[..., :30].all()
    assert not grad_y[..., 30:].any()


def test_prediction_follows_growth_that_stands_out_of_the_noise() -> None:
    quadratic = [(length, 1e-6 * length**2) for length in probe_lengths(16000)]
    assert predict(quadratic, 16000) == pytest.approx(256)
    noisy = [(31, 1e-5), (62, 1e-3)]
    assert predict(noisy, 16000) < 0.5


def test_shares_and_rounds() -> None:
    counts = share([0.01, 0.1, 5.0], [0] * 3, [3] * 3, 12.0, most=100)
    assert counts[2] == 2
    assert counts[0] > counts[1] > counts[2]
    turns = list(rounds(counts, seed=0))
    assert [sum(who in turn for turn in turns) for who in range(3)] == counts
    assert turns == list(rounds(counts, seed=0))
    assert set(turns[0]) == {0, 1, 2}
    assert share([100.0, 50.0], [0, 0], [3, 3], 1.0, most=100) == [1, 1]


def test_a_floor_comes_before_the_last_samples_of_the_slow() -> None:
    assert share([0.1, 0.1, 1.0], [0] * 3, [8, 8, 3], 4.3, most=8) == [8, 8, 2]
    assert share([0.1, 0.1, 1.0], [1] * 3, [8, 8, 3], 3.5, most=8) == [7, 7, 2]


def test_three_samples_of_many_come_before_two_of_the_slowest() -> None:
    assert share([1.0, 1.1, 4.0], [1] * 3, [3] * 3, 5.0, most=100) == [2, 2, 0]


def test_the_slow_have_had_their_turns_by_half_time() -> None:
    turns = list(rounds([20, 3], seed=0))
    assert [number for number, turn in enumerate(turns) if 1 in turn] == [0, 3, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("many", "'many' in 'many' is not a count"),
        ("0", "not a whole number of at least 1"),
        ("1.5", "not a whole number"),
        ("4:2", "goes down, from 4 to 2"),
        ("1:8:x1", "never ends"),
        ("1:2:3:4", "4 parts"),
        ("1:1M", "more than 10000 values"),
        ("1,,2", "'' in '1,,2' is not a count"),
        ("1:9:-2", "not a count"),
    ],
)
def test_impossible_ranges_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_axis(text)


def test_every_combination_is_a_case() -> None:
    found = swept(case_named("dense"), {"length": [1000, 2000], "dtype": ["float32", "float64"]})
    assert [(case.length, case.dtype) for case in found] == list(
        itertools.product((1000, 2000), ("float32", "float64"))
    )
    assert len({case.name for case in found}) == 4
    assert {case.base for case in found} == {"dense"}
    assert swept(case_named("dense"), {}) == [case_named("dense")]


def test_a_layer_keeps_its_features_last() -> None:
    with pytest.raises(ValueError, match="TBC or BTC"):
        swept(case_named("layer"), {"layout": ["BTC", "BCT"]})
    with pytest.raises(ValueError, match="float32 or float64"):
        swept(case_named("layer"), {"dtype": ["float32", "float16"]})
    with pytest.raises(ValueError, match="Did you mean 'gated'"):
        case_named("gates")
