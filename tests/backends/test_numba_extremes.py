"""Subnormal, infinite and undefined numbers in the numba backend, with lanes full of channels and of segments."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import multirec as mr
from multirec.adjoint import vjp

SHAPES = [(3, 20, 4000), (1, 2, 40000)]
TINY = np.finfo("float32").tiny


def filters(channels, *feedback):
    return np.tile(np.float32(feedback), (channels, 1))


def has_subnormals(array):
    return bool(((array != 0) & (np.abs(array) < TINY)).any())


def gradual_underflow():
    """Whether this thread still computes with subnormal numbers."""
    return bool((np.full(100, TINY) * np.float32(0.5) > 0).all())


@pytest.mark.parametrize("shape", SHAPES)
def test_tails_end_in_zeros(shape):
    """An impulse decays forwards in y, and backwards in the gradient of x; the caller's arithmetic is untouched."""
    a = filters(shape[1], 1.2, -0.5)
    x, grad = np.zeros((2, *shape), "float32")
    x[..., 0] = grad[..., -1] = 1
    y, state = mr.recurrence(x, feedback=a, backend="numba")
    assert gradual_underflow()
    found = vjp(grad, x, feedback=a, y=y, backend="numba")
    assert gradual_underflow()
    for array in (y, found.x):
        assert not has_subnormals(array)
        assert np.abs(array).max() >= 1
    assert not y[..., -1000:].any()
    assert not found.x[..., :1000].any()
    assert not state.outputs.any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_input_spoils_its_channel_alone(shape, value):
    rng, at = np.random.default_rng(0), shape[2] // 3
    a = filters(shape[1], 0.9)
    x = rng.standard_normal(shape).astype("float32")
    clean, _ = mr.recurrence(x, feedback=a, backend="numba")
    x[0, 1, at] = value
    y, _ = mr.recurrence(x, feedback=a, backend="numba")
    assert not np.isfinite(y[0, 1, at:]).any()
    np.testing.assert_array_equal(y[0, 1, :at], clean[0, 1, :at])
    others = np.ones(shape[:2], bool)
    others[0, 1] = False
    np.testing.assert_array_equal(y[others], clean[others])


@pytest.mark.parametrize("shape", SHAPES)
def test_non_finite_gradient_spoils_its_channel_alone(shape):
    rng, at = np.random.default_rng(0), shape[2] // 3
    a = filters(shape[1], 0.9)
    x, grad = rng.standard_normal((2, *shape)).astype("float32")
    clean = vjp(grad, x, feedback=a, backend="numba")
    grad[0, 1, at] = np.nan
    found = vjp(grad, x, feedback=a, backend="numba")
    assert not np.isfinite(found.x[0, 1, : at + 1]).any()
    np.testing.assert_array_equal(found.x[0, 1, at + 1 :], clean.x[0, 1, at + 1 :])
    others = np.arange(shape[1]) != 1
    np.testing.assert_array_equal(found.x[0, others], clean.x[0, others])
    np.testing.assert_array_equal(found.feedback[others], clean.feedback[others])
    assert np.isnan(found.feedback[1]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_growing_filters_agree_until_they_leave_the_range(shape):
    a = filters(shape[1], 1.03)
    a[0] = 0.5
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    y, _ = mr.recurrence(x, feedback=a, backend="numba")
    want, _ = mr.recurrence(x.astype("float64"), feedback=a.astype("float64"), backend="reference")
    left = np.abs(want) > 1e30
    np.testing.assert_allclose(y[~left], want[~left], rtol=1e-4, atol=1e-4)
    assert np.isfinite(y[:, 0]).all()
    assert not np.isfinite(y[:, 1:, -100:]).any()
    lost = np.maximum.accumulate(~np.isfinite(y), axis=-1)
    assert not np.isfinite(y[lost]).any()
