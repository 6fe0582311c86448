"""Calls with designs that float32 cannot hold: computed in float64, or warned about by name."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from designs import NOISE, SPOILED, normalised
from scipy import signal

import multirec as mr
from multirec._engine import precision
from multirec.adjoint import vjp
from multirec.backend import BackendInfo
from multirec.errors import RoundingWarning, ShapeError


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
