"""Designs that float32 cannot hold: judged by their response, computed in float64 or warned about by name."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal

import multirec as mr
from multirec._engine import precision, rounding
from multirec._engine.rounding import TOLERANCE, damage
from multirec.adjoint import vjp
from multirec.backend import BackendInfo
from multirec.errors import RoundingWarning, ShapeError

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((1, 1, 20000)).astype(np.float32)


def normalised(b: Any, a: Any) -> tuple[np.ndarray, np.ndarray]:
    b, a = np.asarray(b, float), np.asarray(a, float)
    return b[None] / a[0], -a[None, 1:] / a[0]


def notch(quality: float) -> tuple[np.ndarray, np.ndarray]:
    return signal.iirnotch(50, quality, 48000)


def cookbook(kind: str, hertz: float, quality: float, decibel: float) -> tuple[list[float], list[float]]:
    """Return an equaliser's section at 48 kHz, by the equaliser cookbook."""
    gain, angle = 10 ** (decibel / 40), 2 * np.pi * hertz / 48000
    alpha, cosine = np.sin(angle) / 2 / quality, np.cos(angle)
    if kind == "peak":
        return [1 + alpha * gain, -2 * cosine, 1 - alpha * gain], [1 + alpha / gain, -2 * cosine, 1 - alpha / gain]
    sign = 1 if kind == "low shelf" else -1
    plus, minus, root = gain + 1, gain - 1, 2 * np.sqrt(gain) * alpha
    b = [plus - sign * minus * cosine + root, 2 * sign * (minus - sign * plus * cosine)]
    a = [plus + sign * minus * cosine + root, -2 * sign * (minus + sign * plus * cosine)]
    b, a = [*b, plus - sign * minus * cosine - root], [*a, plus + sign * minus * cosine - root]
    return [gain * tap for tap in b], a


HELD = {
    "high-pass 0.5 Hz @ 500, order 2": signal.butter(2, 0.5, "high", fs=500),
    "high-pass 20 Hz @ 48k": signal.butter(2, 20, "high", fs=48000),
    "low-pass 40 Hz @ 500, order 4": signal.butter(4, 40, fs=500),
    "low-pass 1 kHz @ 48k, order 4": signal.butter(4, 1000, fs=48000),
    "band-pass 300 to 3400 Hz @ 16k, order 4": signal.butter(4, [300, 3400], "bandpass", fs=16000),
    "band-pass 8 to 13 Hz @ 250": signal.butter(2, [8, 13], "bandpass", fs=250),
    "notch Q 10": notch(10),
    "notch 50 Hz @ 500": signal.iirnotch(50, 30, 500),
    "peak 1 kHz": cookbook("peak", 1000, 1, 6),
    "peak 100 Hz Q 30": cookbook("peak", 100, 30, 12),
    "low shelf 100 Hz": cookbook("low shelf", 100, 0.7, 6),
    "high shelf 8 kHz": cookbook("high shelf", 8000, 0.7, 6),
    "K-weighting, shelf": (
        [1.53512485958697, -2.69169619040638, 1.19839281085285],
        [1, -1.69065929318241, 0.73248077421585],
    ),
    "K-weighting, high-pass": ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621]),
    "gammatone 4 kHz @ 16k": signal.gammatone(4000, "iir", fs=16000),
    "DC blocker": ([1, -1], [1, -0.9999]),
    "leaky sum": ([1e-5], [1, -0.99999]),
    "elliptic band-pass, order 8": signal.ellip(4, 1, 60, [0.2, 0.3], "bandpass"),
}
SPOILED = {
    "high-pass 0.1 Hz @ 500, order 4": signal.butter(4, 0.1, "high", fs=500),
    "high-pass 0.5 Hz @ 500, order 4": signal.butter(4, 0.5, "high", fs=500),
    "high-pass 0.1 Hz @ 16k": signal.butter(2, 0.1, "high", fs=16000),
    "high-pass 200 Hz @ 48k, order 4": signal.butter(4, 200, "high", fs=48000),
    "notch Q 30": notch(30),
    "notch Q 50": notch(50),
    "band-pass 8 to 13 Hz @ 250, order 4": signal.butter(4, [8, 13], "bandpass", fs=250),
    "Chebyshev band-pass, order 8": signal.cheby1(4, 1, [0.05, 0.1], "bandpass"),
    "gammatone 1 kHz @ 16k": signal.gammatone(1000, "iir", fs=16000),
    "low-pass, order 8": signal.butter(8, 0.1),
    "double pole 0.999": ([1], np.poly([0.999, 0.999])),
    "leaky sum of a million": ([1e-6], [1, -0.999999]),
}
EDGE = {
    "Bessel low-pass 1 Hz @ 48k, order 4": signal.bessel(4, 1, fs=48000),
    "band-pass 0.3 to 2.4 Hz @ 44.1k": signal.butter(2, [0.3, 2.4], "band", fs=44100),
    "Bessel high-pass 0.3 Hz @ 500, order 6": signal.bessel(6, 0.3, "high", fs=500),
    "elliptic high-pass 20 Hz @ 44.1k, order 6": signal.ellip(6, 1, 60, 20, "high", fs=44100),
    "high-pass 1 Hz @ 48k, order 4": signal.butter(4, 1, "high", fs=48000),
    "high-pass 1 Hz @ 48k, order 8": signal.butter(8, 1, "high", fs=48000),
    "zero on a pole at 1": [np.convolve(part, [1, -1]) for part in signal.butter(2, 0.05, "high", fs=48000)],
}
"""Whose poles float64 hardly finds inside the circle, or whose response it cannot tell at all frequencies."""


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


@pytest.mark.parametrize("backend", ["auto", "numba", "reference", "torch_loop"])
@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("direct", [False, True])
def test_a_spoiled_filter_is_computed_in_float64(backend: str, library: Any, direct: bool) -> None:
    b, a = SPOILED["high-pass 0.5 Hz @ 500, order 4"]
    x, taps = library(NOISE), [library(part) for part in normalised(b, a)]

    def call(x: Any, state: Any = None) -> Any:
        return mr.recurrence(x, feedforward=taps[0], feedback=taps[1], state=state, backend=backend)

    function = call if direct else mr.RecurrenceBank.from_ba(library(b), library(a), backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, state = function(x[..., :7000])
        rest, _ = function(x[..., 7000:], state)
    assert "float32" in str(y.dtype)
    assert "float64" in str(state.outputs.dtype)
    expected = signal.lfilter(b, a, NOISE.astype(float))
    got = np.concatenate([np.asarray(part) for part in (y, rest)], -1)
    np.testing.assert_allclose(got, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("rate", [500, 16000])
def test_sections_are_judged_one_by_one(rate: int) -> None:
    sos = signal.butter(4, 0.1, "high", fs=rate, output="sos")
    y, _ = mr.RecurrenceBank.from_sos(sos, backend="reference")(NOISE)
    expected = signal.sosfilt(sos, NOISE.astype(float))
    assert np.sqrt(np.mean((y - expected) ** 2) / np.mean(expected**2)) < 2e-3


def test_half_signals_and_coefficients_of_each_example() -> None:
    b, a = (np.tile(part, (2, 1, 1)) for part in normalised(*SPOILED["high-pass 0.5 Hz @ 500, order 4"]))
    x = np.broadcast_to(NOISE[..., :2000], (2, 1, 2000)).astype(np.float16)
    for shape in ((2, 1, -1), (2, 1, 1, -1)):
        y, state = mr.recurrence(x, feedforward=b.reshape(shape), feedback=a.reshape(shape))
        assert (y.dtype, state.outputs.dtype) == (np.float16, np.float64)
        assert np.isfinite(y).all()


def test_gradients_are_those_of_the_wide_call() -> None:
    b, a = normalised(*SPOILED["high-pass 0.5 Hz @ 500, order 4"])
    x = NOISE[0, :, :500]
    found = vjp(np.ones_like(x), x, feedforward=b, feedback=a)
    wide = vjp(np.ones_like(x), x, feedforward=b, feedback=a, compute_dtype="float64")
    np.testing.assert_array_equal(found.x, wide.x)
    np.testing.assert_array_equal(found.feedback, wide.feedback)
    signals = torch.tensor(x, requires_grad=True)
    mr.recurrence(signals, feedforward=torch.tensor(b), feedback=torch.tensor(a))[0].sum().backward()
    np.testing.assert_allclose(signals.grad, wide.x, rtol=1e-5)


def test_explain_says_so() -> None:
    b, a = normalised(*SPOILED["high-pass 0.5 Hz @ 500, order 4"])
    found = mr.explain(NOISE, feedforward=b, feedback=a)
    assert found.problem.wide
    assert "filter 0 is no longer stable" in found.notes[0]
    assert "computed in float64" in found.notes[0]
    asked = mr.explain(NOISE, feedforward=b, feedback=a, compute_dtype="float32")
    assert not asked.problem.wide
    assert not any("float64" in note for note in asked.notes)
    held = mr.explain(NOISE, feedback=np.array([[0.5]]))
    assert not held.problem.wide


@pytest.fixture
def narrow_backend() -> Any:
    info = BackendInfo(name="narrow", summary="float32 only", kernel="multirec.reference:kernel", family="numpy")
    mr.register_backend(info)
    yield "narrow"
    mr.unregister_backend("narrow")


def test_a_warning_where_nothing_computes_in_float64(narrow_backend: str) -> None:
    sos = np.array([[1, 0, 0, 1, -0.5, 0], [1, 0, 0, 1, -1.999999, 0.9999990001]])
    cascade = mr.RecurrenceBank.from_sos(sos, backend=narrow_backend)
    with pytest.warns(RoundingWarning, match=r"section 1: filter 0 .*compute_dtype='float64'") as caught:
        cascade(NOISE[..., :9])
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cascade(NOISE[..., :9])
        cascade(NOISE[..., :9].astype(float))
        mr.RecurrenceBank.from_sos(sos, backend=narrow_backend, compute_dtype="float32")(NOISE[..., :9])
    taps = {"feedback": -sos[1:, 4:], "backend": narrow_backend}
    with pytest.warns(RoundingWarning, match="filter 0") as caught:
        mr.recurrence(NOISE, **taps)
    assert [warning.filename for warning in caught] == [__file__]
    assert "Pass compute_dtype='float64'" in mr.explain(NOISE, **taps).notes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mr.recurrence(NOISE, **taps, compute_dtype="float32")


def test_explain_of_a_backend_that_cannot_run_says_why() -> None:
    b, a = normalised(*SPOILED["high-pass 0.5 Hz @ 500, order 4"])
    missing = BackendInfo(
        name="away", summary="a test", kernel="nowhere:kernel", family="numpy", requires=("no_such_module",)
    )
    mr.register_backend(missing)
    try:
        found = mr.explain(NOISE, feedforward=b, feedback=a, backend="away")
        assert found.chosen is None
        assert "no_such_module" in found.candidates["away"].reason
    finally:
        mr.unregister_backend("away")


SPOILED_A = normalised(*SPOILED["high-pass 0.5 Hz @ 500, order 4"])[1]


def state_dtype(bank: Any, x: Any) -> str:
    return str(bank(x)[1].outputs.dtype).removeprefix("torch.")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, "float16", "float32"])
def test_coefficients_below_float64_are_not_judged(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "damage", None)
    a = torch.tensor(SPOILED_A).to(dtype) if isinstance(dtype, torch.dtype) else SPOILED_A.astype(dtype)
    x = torch.from_numpy(NOISE[..., :9]) if isinstance(dtype, torch.dtype) else NOISE[..., :9]
    assert state_dtype(mr.RecurrenceBank(feedback=a), x) == "float32"
    mr.RecurrenceBank.from_ba(a[:, :1], a)
    assert str(mr.recurrence(x, feedback=a)[1].outputs.dtype).endswith("float32")


def test_a_design_of_two_types_is_judged() -> None:
    assert (
        state_dtype(mr.RecurrenceBank(feedforward=np.ones((1, 1), np.float16), feedback=SPOILED_A), NOISE) == "float64"
    )


@pytest.mark.parametrize("scipy", [False, True])
def test_values_are_judged_as_they_are_now(scipy: bool) -> None:
    spoiled = torch.tensor(np.append([[1.0]], -SPOILED_A, 1) if scipy else SPOILED_A)
    held = torch.eye(1, spoiled.shape[1], dtype=torch.float64) / 2
    x = torch.from_numpy(NOISE[..., :9])
    frozen = torch.nn.Parameter(held, requires_grad=False)
    bank = mr.RecurrenceBank.from_ba(frozen[:, :1], frozen) if scipy else mr.RecurrenceBank(feedback=frozen)
    assert state_dtype(bank, x) == "float32"
    with torch.no_grad():
        frozen.copy_(spoiled)
    assert state_dtype(bank, x) == "float64"
    frozen.requires_grad_()
    assert state_dtype(bank, x) == "float32"
    with torch.no_grad():
        assert state_dtype(bank, x) == "float32"


def test_arrays_that_are_changed_in_place_are_judged_anew() -> None:
    feedback = np.zeros_like(SPOILED_A)
    bank = mr.RecurrenceBank(feedback=feedback)
    assert state_dtype(bank, NOISE) == "float32"
    feedback[:] = SPOILED_A
    assert state_dtype(bank, NOISE) == "float64"


def test_coefficients_may_be_set() -> None:
    bank = mr.RecurrenceBank.from_ba([1.0], [1.0, -0.5])
    bank.feedback = SPOILED_A
    bank.feedforward = None
    assert (bank.feedforward, bank.order) == (None, 4)
    assert state_dtype(bank, NOISE) == "float64"
    with pytest.raises(ShapeError, match=r"feedback has shape \(4,\)"):
        bank.feedback = SPOILED_A[0]


def test_numbers_of_channels_that_do_not_fit_are_the_calls_error() -> None:
    bank = mr.RecurrenceBank(feedforward=np.full((2, 1), 0.1), feedback=np.full((3, 1), 0.1))
    with pytest.raises(ShapeError, match="channels do not match"):
        bank(NOISE)


def test_values_that_are_learned_or_traced_decide_nothing() -> None:
    _, a = normalised(*SPOILED["high-pass 0.5 Hz @ 500, order 4"])
    x, feedback = torch.from_numpy(NOISE[..., :9]), torch.tensor(a)
    learned = mr.recurrence(x, feedback=feedback.clone().requires_grad_())[1]
    mapped = torch.func.vmap(lambda x: mr.recurrence(x, feedback=feedback)[1].outputs)(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RoundingWarning)
        compiled = torch.compile(lambda x: mr.recurrence(x, feedback=feedback)[1], backend="aot_eager", fullgraph=True)(
            x
        )
    assert {learned.outputs.dtype, mapped.dtype, compiled.outputs.dtype} == {torch.float32}
    varying = torch.tensor(a).expand(1, 1, 9, 4)
    assert mr.recurrence(x, feedback=varying)[1].outputs.dtype == torch.float32


def compiled(function: Any) -> Any:
    return torch.compile(function, backend="aot_eager", fullgraph=True)


@pytest.mark.parametrize("grad", [False, True])
def test_a_compiled_call_warns_when_it_runs(grad: bool) -> None:
    x = torch.from_numpy(NOISE[..., :9]).requires_grad_(grad)
    # a design of its own for each, since each is told once
    design = SPOILED_A * (1 + 1e-12 * (1 + grad))
    call = compiled(lambda x: mr.recurrence(x, feedback=design)[0])
    with pytest.warns(RoundingWarning, match="compiled.*compute_dtype='float64'"):
        call(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RoundingWarning)
        call(x)
        compiled(lambda x: mr.recurrence(x, feedback=design, compute_dtype="float64")[0])(x)


def test_a_compiled_call_does_not_judge_what_is_learned() -> None:
    x = torch.from_numpy(NOISE[..., :9])
    learned = (torch.tensor(SPOILED_A) * (1 + 4e-12)).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RoundingWarning)
        compiled(lambda x, a: mr.recurrence(x, feedback=a)[0])(x, learned).sum().backward()
    assert learned.grad is not None
    assert learned.grad.dtype == torch.float64


def test_a_compiled_bank_that_cannot_be_widened_warns(narrow_backend: str) -> None:
    x = torch.from_numpy(NOISE[..., :9])
    bank = mr.RecurrenceBank(feedback=torch.tensor(SPOILED_A) * (1 + 3e-12), backend=narrow_backend)
    with pytest.warns(RoundingWarning, match=r"computes so \(.*numba.*\)"):
        compiled(bank.__call__)(x)
    with pytest.warns(RoundingWarning):
        bank(x)


def test_a_bank_is_made_inside_of_a_compiled_function() -> None:
    b, a = (torch.tensor(part) for part in signal.butter(2, 0.2))
    x = torch.from_numpy(NOISE[..., :9])
    y = compiled(lambda x, b, a: mr.RecurrenceBank.from_ba(b, a)(x)[0])(x, b, a)
    torch.testing.assert_close(y, mr.RecurrenceBank.from_ba(b, a)(x)[0])


def test_tensors_on_device_meta_have_the_types_of_others() -> None:
    x = torch.from_numpy(NOISE[..., :9]).to("meta")
    assert mr.recurrence(x, feedback=SPOILED_A)[1].outputs.dtype == torch.float64
    assert mr.RecurrenceBank(feedback=SPOILED_A)(x)[1].outputs.dtype == torch.float64


@pytest.mark.parametrize("backend", ["auto", "numba"])
def test_a_bank_that_was_judged_is_compiled_so(backend: str) -> None:
    bank = mr.RecurrenceBank.from_ba(*SPOILED["high-pass 0.5 Hz @ 500, order 4"], backend=backend)
    x = torch.from_numpy(NOISE)
    y, state = torch.compile(bank.__call__, backend="aot_eager", fullgraph=True)(x)
    assert state.outputs.dtype == torch.float64
    torch.testing.assert_close(y, bank(x)[0])


def test_a_design_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(precision, "damage", lambda *taps: calls.append(None) or "")
    b, a = normalised(*signal.butter(2, 0.0123))
    bank = mr.RecurrenceBank(feedforward=b, feedback=a)
    for _ in range(3):
        bank(NOISE[..., :9])
    assert len(calls) == 1
    for _ in range(3):
        mr.recurrence(NOISE[..., :9], feedforward=b.copy(), feedback=a.copy())
    assert len(calls) == 2
    mr.recurrence(NOISE[..., :9].astype(float), feedforward=2 * b, feedback=a)
    mr.recurrence(NOISE[..., :9], feedforward=b.astype(np.float32), feedback=a.astype(np.float32))
    assert len(calls) == 2
