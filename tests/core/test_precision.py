"""What is computed in, and what the state is kept in: the argument compute_dtype, and its errors."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from scipy import signal

import multirec as mr
from multirec.adjoint import vjp
from multirec.backend import BackendInfo
from multirec.errors import ArgumentError, DtypeError, UnsupportedError
from multirec.reference import kernel as reference

X = np.random.default_rng(0).standard_normal((2, 3, 40)).astype("float32")
A = np.array([[1.9, -0.95]])
"""No float32 numbers."""
BACKENDS = ["auto", "reference", "numba", "unfold_scan", "torch_loop"]
NARROW = BackendInfo(name="narrow", summary="a test", kernel=f"{__name__}:reference", family="numpy")


@pytest.fixture
def narrow() -> Any:
    mr.register_backend(NARROW)
    yield NARROW.name
    mr.unregister_backend(NARROW.name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_coefficients_and_everything_after_them_are_not_rounded(backend: str) -> None:
    y, state = mr.recurrence(X, feedback=A, backend=backend, compute_dtype="float64")
    want, after = mr.recurrence(X.astype("float64"), feedback=A, backend=backend)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, want.astype("float32"))
    np.testing.assert_allclose(state.outputs, after.outputs, rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_have_the_types_of_what_was_passed(backend: str) -> None:
    given = {"feedback": A, "state": mr.State(None, np.ones((2, 3, 2))), "backend": backend}
    found = vjp(X, X, **given, compute_dtype="float64")
    want = vjp(X.astype("float64"), X.astype("float64"), **given)
    assert (found.x.dtype, found.feedback.dtype, found.state.outputs.dtype) == ("float32", "float64", "float64")
    np.testing.assert_allclose(found.x, want.x, rtol=1e-7)
    # y is stored in float32
    np.testing.assert_allclose(found.feedback, want.feedback, rtol=1e-6)
    np.testing.assert_allclose(found.state.outputs, want.state.outputs, rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_signals_own_precision_may_be_named(backend: str) -> None:
    for x, own in ((X, "float32"), (X.astype("float64"), "float64"), (X.astype(ml_dtypes.bfloat16), "float32")):
        named, state = mr.recurrence(x, feedback=A, backend=backend, compute_dtype=own)
        y, after = mr.recurrence(x, feedback=A, backend=backend)
        np.testing.assert_array_equal(named, y)
        assert state.outputs.dtype == after.outputs.dtype == own


def test_banks_pass_it_on() -> None:
    assert "compute_dtype" not in repr(mr.RecurrenceBank(feedback=A))
    for bank in (
        mr.RecurrenceBank(feedback=A, compute_dtype="float64"),
        mr.RecurrenceBank.from_ba([1.0], [1.0, -1.9, 0.95], compute_dtype="float64"),
        *mr.RecurrenceBank.from_sos([[1.0, 0.0, 0.0, 1.0, -1.9, 0.95]], compute_dtype="float64").sections,
    ):
        assert bank.compute_dtype == "float64"
        assert repr(bank).endswith(", compute_dtype='float64')")
        _, state = bank(X)
        y, state = bank.step(X[..., 0], state)
        assert (y.dtype, state.outputs.dtype) == ("float32", "float64")


@pytest.mark.parametrize("wrong", ["float16", "double", "complex128", np.float64, True])
def test_an_unknown_one_is_an_error(wrong: Any) -> None:
    for call in (mr.recurrence, mr.explain):
        with pytest.raises(ArgumentError, match="compute_dtype is 'float32' or 'float64'"):
            call(X, feedback=A, compute_dtype=wrong)
    with pytest.raises(ArgumentError, match="compute_dtype is 'float32' or 'float64'"):
        mr.RecurrenceBank(feedback=A, compute_dtype=wrong)


@pytest.mark.parametrize("wrong", [np.float64, torch.float64, np.dtype("float64")])
def test_a_library_s_type_is_told_its_name(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"got .*\. Pass the string 'float64'\."):
        mr.recurrence(X, feedback=A, compute_dtype=wrong)


@pytest.mark.parametrize(("dtype", "instead"), [("float64", "float32"), ("complex128", "complex64")])
def test_less_than_the_signals_own_is_an_error(dtype: str, instead: str) -> None:
    with pytest.raises(ArgumentError, match=f"compute_dtype is float32 and x is {dtype}.*cast x to {instead}"):
        mr.recurrence(X.astype(dtype), feedback=A, compute_dtype="float32")


def test_a_backend_that_has_no_wide_arithmetic_declines(narrow: str) -> None:
    reason = "compute_dtype float64 for float32 (it computes in y's own precision)"
    found = mr.explain(X, feedback=A, compute_dtype="float64")
    assert found.candidates[narrow].reason == reason
    assert found.candidates["numba"].ok
    assert "float32 computed in float64 on cpu" in str(found)
    with pytest.raises(UnsupportedError, match=r"Backends that do: .*numba, reference") as error:
        mr.recurrence(X, feedback=A, backend=narrow, compute_dtype="float64")
    assert reason in str(error.value)
    mr.recurrence(X.astype("float64"), feedback=A, backend=narrow, compute_dtype="float64")


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_half_types_keep_a_float32_state(dtype: Any, backend: str) -> None:
    x = np.ones((1, 1, 400), dtype)
    bank = mr.RecurrenceBank(feedback=np.array([[0.999]], "float32"), backend=backend)
    _, whole = bank(x)
    _, state = bank(x[..., :300])
    assert state.outputs.dtype == np.float32
    for t in range(300, 400):
        _, state = bank.step(x[..., t], state)
    np.testing.assert_allclose(state.outputs, whole.outputs, rtol=1e-6)
    rounded = mr.State(state.inputs, state.outputs.astype(dtype))
    y, after = bank(x[..., :1], rounded)
    assert after.outputs.dtype == np.float32
    np.testing.assert_allclose(after.outputs, 0.999 * rounded.outputs.astype("float32") + 1, rtol=1e-6)
    assert y.dtype == x.dtype


def test_a_state_of_another_type_is_an_error() -> None:
    for dtype, compute_dtype, expected in (
        ("float16", None, "expected float16, which is y's, or wider: float32 or float64"),
        ("float32", "float64", "expected float32, which is y's, or wider: float64"),
        ("float64", None, "expected float64, which is y's"),
    ):
        past = np.zeros((2, 3, 2), "complex64")
        with pytest.raises(DtypeError, match=f"state.outputs has dtype complex64, {expected}"):
            mr.recurrence(X.astype(dtype), feedback=A, state=(None, past), compute_dtype=compute_dtype)
    with pytest.raises(DtypeError, match=r"state.inputs has dtype float32, expected float16"):
        mr.recurrence(X.astype("float16"), feedforward=np.ones((3, 2)), state=(np.zeros((2, 3, 1), "float32"), None))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_a_state_passes_between_calls_of_different_precisions(backend: str, dtype: str) -> None:
    x = X.astype(dtype)
    whole, _ = mr.recurrence(x, feedback=A, backend=backend)
    first, state = mr.recurrence(x[..., :20], feedback=A, backend=backend, compute_dtype="float64")
    assert state.outputs.dtype == ("complex128" if dtype == "complex64" else "float64")
    rest, after = mr.recurrence(x[..., 20:], feedback=A, backend=backend, state=state, compute_dtype="float32")
    assert after.outputs.dtype == ("complex64" if dtype == "complex64" else "float32")
    np.testing.assert_allclose(
        np.concatenate([first, rest], -1), whole, rtol=2e-3 if dtype == "float16" else 1e-4, atol=1e-4
    )
    found = vjp(np.ones_like(rest), x[..., 20:], feedback=A, backend=backend, state=state)
    assert found.state.outputs.dtype == state.outputs.dtype


def test_a_sweep_over_designs_keeps_its_state() -> None:
    state, blocks = None, []
    for hertz in (40.0, 0.5, 60.0, 0.2):
        b, a = signal.butter(4, hertz, "high", fs=500)
        y, state = mr.recurrence(X, feedforward=b[None], feedback=-a[None, 1:], state=state)
        blocks.append(state.outputs.dtype.name)
        assert np.isfinite(y).all()
    assert set(blocks) == {"float32", "float64"}


def test_the_gradient_of_a_wider_state_has_its_type() -> None:
    past = torch.ones((2, 3, 2), dtype=torch.float64, requires_grad=True)

    def total(x: torch.Tensor, past: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedback=A.astype("float32"), state=(None, past))[0].sum()

    for call in (total, torch.compile(total, backend="aot_eager", fullgraph=True)):
        (grad,) = torch.autograd.grad(call(torch.from_numpy(X), past), past)
        assert grad.dtype == torch.float64
        assert grad.abs().min() > 0


class _Alone:
    """A kernel that gives y alone, whatever is asked for."""

    def forward(self, problem: Any, operands: Any, allocate: Any) -> Any:
        found = reference.forward(problem, operands, allocate)
        return found[0] if isinstance(found, tuple) else found


ALONE = _Alone()


def test_a_kernel_that_gives_y_alone_is_found_out() -> None:
    info = BackendInfo(
        name="alone", summary="a test", kernel=f"{__name__}:ALONE", family="numpy", dtypes=("float16", "float32")
    )
    mr.register_backend(info)
    try:
        mr.recurrence(X, feedback=A, backend="alone")
        with pytest.raises(mr.errors.BackendBrokenError, match=r"'alone' gave y alone.*the last outputs in float32"):
            mr.recurrence(X.astype("float16"), feedback=A, backend="alone")
    finally:
        mr.unregister_backend("alone")
