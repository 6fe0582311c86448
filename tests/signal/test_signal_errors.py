"""What SciPy refuses is refused with its class of error, saying what is wrong and what to do; and what differs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import torch

from multirec import errors, signal

B, A, X = [1.0, 2, 1], [1.0, -0.5, 0.1], np.ones(20)
SOS = np.array([[1.0, 2, 1, 1, -0.5, 0.1]])

SHARED: dict[str, tuple[Callable[[ModuleType], Any], str]] = {
    "b of three axes": (lambda s: s.lfilter(np.ones((2, 2, 2)), A, X), "Parameter b is not a filter"),
    "b empty": (lambda s: s.lfilter([], A, X), "Parameter b .* with one tap or more"),
    "a empty": (lambda s: s.lfilter(B, [], X), "Parameter a .* with one tap or more"),
    "a0 is 0": (lambda s: s.lfilter(B, [0, 1.0], X), "a0 is 0 of a with shape"),
    "axis too large": (lambda s: s.lfilter(B, A, X, axis=1), "axis 1 is out of range"),
    "axis too small": (lambda s: s.lfilter(B, A, X, axis=-2), "axis -2 is out of range"),
    "axis of FIR": (lambda s: s.lfilter(B, [1.0], X, axis=1), "axis 1 is out of range"),
    "axis of sections": (lambda s: s.sosfilt(SOS, X, axis=1), "axis 1 is out of range"),
    "axis of filtfilt": (lambda s: s.filtfilt(B, A, X, axis=1), "axis 1 is out of range"),
    "axis of sosfiltfilt": (lambda s: s.sosfiltfilt(SOS, X, axis=1), "axis 1 is out of range"),
    "axis of gust": (lambda s: s.filtfilt(B, A, X, axis=1, method="gust"), "axis 1 is out of range"),
    "axis of decimate": (lambda s: s.decimate(X, 2, axis=1), "axis 1 is out of range"),
    "axis is no integer": (lambda s: s.lfilter(B, A, X, axis=0.5), "integer"),
    "axis is None": (lambda s: s.lfilter(B, A, X, axis=None), "integer"),
    "x is a number": (lambda s: s.lfilter(B, A, 1.0), "x must be at least 1-D"),
    "sections of a number": (lambda s: s.sosfilt(SOS, 1.0), "x must be at least 1-D"),
    "x ragged": (lambda s: s.lfilter(B, A, [[1, 2], [3]]), "x is no array"),
    "zi short": (lambda s: s.lfilter(B, A, X, zi=[1.0]), r"zi has shape \(1,\), expected \(2,\)"),
    "zi of more axes": (lambda s: s.lfilter(B, A, X, zi=[[1.0, 2]]), "zi has shape"),
    "zi is a number": (lambda s: s.lfilter(B, A, X, zi=1.0), "zi has shape"),
    "zi is not broadcast along time": (lambda s: s.lfilter(B, A, np.ones((2, 9)), zi=np.ones((2, 1))), "zi has shape"),
    "zi of sections": (lambda s: s.sosfilt(SOS, X, zi=[1.0, 2]), r"Invalid zi shape \(2,\), expected \(1, 2\)"),
    "zi of sections is not broadcast": (
        lambda s: s.sosfilt(SOS, np.ones((3, 20)), zi=np.ones((1, 1, 2))),
        "Invalid zi shape",
    ),
    "sos of five": (lambda s: s.sosfilt(SOS[:, :5], X), r"sos has shape \(1, 5\)"),
    "sos of four axes": (lambda s: s.sosfilt(SOS[None, None], X), "sos has shape"),
    "no sections": (lambda s: s.sosfilt(np.zeros((0, 6)), X), "sos has shape"),
    "a0 of sections": (lambda s: s.sosfilt(2 * SOS, X), "should be all ones"),
    "a0 of sosfiltfilt": (lambda s: s.sosfiltfilt(2 * SOS, X), "should be all ones"),
    "integers alone": (lambda s: s.lfilter([1, 2], [1, 1], [1, 2, 3]), "Cast one of the arrays"),
    "half precision alone": (lambda s: s.sosfilt(SOS.astype("e"), X.astype("e")), "Cast one"),
    "words": (lambda s: s.lfilter(B, A, ["a", "b"]), "Cast"),
    "dates": (lambda s: s.lfilter(B, A, np.ones(3, "M8[s]")), "Cast"),
    "nothing among numbers": (lambda s: s.lfilter([1.0], [1.0], [1.0, None]), "object is not computed in"),
    "unknown padtype": (lambda s: s.filtfilt(B, A, X, padtype="mirror"), "unknown padtype 'mirror'"),
    "unknown padtype of sections": (lambda s: s.sosfiltfilt(SOS, X, padtype="mirror"), "unknown padtype"),
    "padlen too long": (lambda s: s.filtfilt(B, A, X, padlen=20), "x has 20 samples .* more than padlen, 20"),
    "x too short": (lambda s: s.filtfilt(B, A, X[:9]), "more than 9 samples, which are added"),
    "x too short for sections": (lambda s: s.sosfiltfilt(SOS, X[:9]), "more than 9 samples"),
    "nothing to pad": (lambda s: s.filtfilt(B, A, [], padlen=-1), "x has 0 samples"),
    "padlen is no integer": (lambda s: s.filtfilt(B, A, X, padlen=3.5), "integer"),
    "unknown method": (lambda s: s.filtfilt(B, A, X, method="magic"), "unknown method 'magic'"),
    "irlen": (lambda s: s.filtfilt(B, A, X, method="gust", irlen=0), "irlen"),
    "zi of no coefficients": (lambda s: s.lfilter_zi(B, []), "Parameter a"),
    "integrator": (lambda s: s.lfilter_zi([2, 1], [1.0, -1]), "never comes to rest"),
    "lfiltic of no coefficients": (lambda s: s.lfiltic(B, [], X), "Parameter a"),
    "lfiltic of a0": (lambda s: s.lfiltic(B, [0, 1], [1, 2]), "a0 is 0"),
    "lfiltic of a bank": (lambda s: s.lfiltic([B, B], A, [1, 2]), r"y has shape \(2,\); for a bank"),
    "decimate by half": (lambda s: s.decimate(X, 0.5), "integer"),
    "decimate by less": (lambda s: s.decimate(X, -2), "q is the factor"),
    "order below 0": (lambda s: s.decimate(X, 2, n=-1), "n is the order of the filter"),
    "order of FIR below 0": (lambda s: s.decimate(X, 2, n=-1, ftype="fir"), "n is the order of the filter"),
    "order is no integer": (lambda s: s.decimate(X, 2, n=0.5), "integer"),
    "unknown ftype": (lambda s: s.decimate(X, 2, ftype="magic"), "unknown ftype 'magic'"),
    "too short to decimate": (lambda s: s.decimate(X, 2), "x has 20 samples"),
    "divided by 0": (lambda s: s.deconvolve([1.0, 2, 3], [0.0, 1]), "a0 is 0"),
    "nothing divided": (lambda s: s.deconvolve([], [1.0]), "Parameter signal must be non-empty"),
}


@pytest.mark.parametrize("name", SHARED)
def test_what_scipy_refuses_is_refused_with_its_class_of_error(name):
    call, message = SHARED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as expected:  # noqa: PT011
            call(scipy.signal)
    builtins = [kind for kind in type(expected.value).__mro__ if kind.__module__ == "builtins"]
    with pytest.raises(builtins[0], match=message):
        call(signal)


OWN: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "coefficients of another library than NumPy's x": (
        lambda: signal.lfilter(torch.ones(2), A, X),
        errors.FamilyError,
        "b is a torch array, expected numpy",
    ),
    "x of one library and zi of another": (
        lambda: signal.lfilter(B, A, torch.ones(9), zi=jnp.ones(2)),
        errors.FamilyError,
        "zi is a jax array, expected torch or numpy",
    ),
    "a list of tensors with gradients": (
        lambda: signal.lfilter([1.0], [1.0, torch.ones((), requires_grad=True)], X),
        errors.FamilyError,
        "a is a list of arrays .* torch.stack",
    ),
    "a list of traced numbers": (
        lambda: jax.jit(lambda gain: signal.lfilter([gain], [1.0], jnp.ones(9)))(1.0),
        errors.FamilyError,
        "b is a list of arrays .* jax.numpy.stack",
    ),
    "x is nothing": (lambda: signal.lfilter(B, A, None), errors.FamilyError, "x is a builtins.NoneType"),
    "x is masked": (lambda: signal.lfilter(B, A, np.ma.ones(4)), errors.FamilyError, "masked array"),
    "longdouble": (lambda: signal.lfilter(B, A, X.astype("g")), errors.DtypeError, "longdouble is not computed in"),
    "rows of banks": (
        lambda: signal.lfilter(np.ones((2, 3)), np.ones((3, 3)), X),
        errors.ShapeError,
        r"b has shape \(2, 3\) and a has shape \(3, 3\)",
    ),
    "channels of a bank": (
        lambda: signal.lfilter(np.ones((2, 3)), A, np.ones((3, 9))),
        errors.ShapeError,
        r"a bank of 2 filters, and x of shape \(3, 9\) has 3 channels on axis 0",
    ),
    "channels of a bank of sections": (
        lambda: signal.sosfiltfilt(np.stack([SOS, SOS]), np.ones((90, 4, 3)), axis=0),
        errors.ShapeError,
        "3 channels on axis 2",
    ),
    "a0 of one filter": (
        lambda: signal.lfilter([1.0], [[1.0, 0.5], [0.0, 1.0]], X),
        errors.ArgumentError,
        "a0 is 0 in 1 of 2 filters",
    ),
    "a0 of one section of torch": (
        lambda: signal.sosfilt(torch.zeros(2, 6), torch.ones(9)),
        errors.ArgumentError,
        "a0 is 0 in 2 of 2",
    ),
    "a0 of JAX": (lambda: signal.lfilter(jnp.ones(2), jnp.zeros(2), jnp.ones(9)), errors.ArgumentError, "a0 is 0"),
    "gust of torch": (
        lambda: signal.filtfilt(B, A, torch.ones(20), method="gust"),
        errors.UnsupportedError,
        "method='gust' is for NumPy",
    ),
    "backend": (lambda: signal.lfilter(B, A, X, backend="nubma"), errors.UnknownBackendError, "nubma"),
}


@pytest.mark.parametrize("name", OWN)
def test_what_is_refused_besides(name):
    call, kind, message = OWN[name]
    with pytest.raises(kind, match=message):
        call()


def test_what_scipy_refuses_and_this_computes():
    assert signal.filtfilt([2.0], [1.0], X)[0] == 4
    assert signal.filtfilt(B, A, [], method="gust").shape == (0,)
    assert signal.lfilter_zi([2.0], [1.0]).shape == (0,)
    assert signal.sosfilt(SOS, []).shape == signal.lfilter(B, [1.0], []).shape == (0,)


def test_sections_that_are_traced_have_no_ordinary_padding():
    sos = torch.tensor(SOS)
    with pytest.raises(errors.ArgumentError, match="Pass padlen"):
        torch.func.grad(lambda sos: signal.sosfiltfilt(sos, torch.ones(20).double()).sum())(sos)
    assert (
        torch.func.grad(lambda sos: signal.sosfiltfilt(sos, torch.ones(20).double(), padlen=9).sum())(sos)
        .isfinite()
        .all()
    )


def test_what_gives_itself_as_an_array_is_taken() -> None:
    class Series:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return np.arange(5.0)

    expected = scipy.signal.lfilter([1.0], [1, -0.5], np.arange(5.0))
    np.testing.assert_allclose(signal.lfilter([1.0], [1, -0.5], Series()), expected)
    np.testing.assert_allclose(signal.lfilter([1.0], [1, -0.5], range(5)), expected)
