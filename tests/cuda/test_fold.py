"""The launch that adds up what a gradient leaves: every kind of job, few terms and many, in the order of the plan."""

from __future__ import annotations

import shutil
from array import array

import numpy as np
import pytest
from emulated import EmulatedDevice, build
from multirec_backends.cupy._fold import IN, OF_PAST_Y, OF_X, OUT, SHARED, SUM_A, SUM_B, TAPS_B, fold, job

KERNEL = "fold<float,Complex<float>,Complex<float>,float>"
"""x is real, y and feedforward are complex, feedback is real."""
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def launched(parts, seed):
    """Launch jobs of (job, source, target)."""
    whole = fold([each for each, _, _ in parts])
    words = array("q", whole.words)
    for place, (_, source, target) in zip(whole.places, parts, strict=True):
        for offset, values in ((IN, source), (OUT, target)):
            words[(place + offset) // 8] = values.__array_interface__["data"][0]
    device = EmulatedDevice(build({KERNEL}, ()), seed)
    device.launch(KERNEL, whole.blocks, whole.threads, SHARED, words.tobytes())
    return whole


def noise(rng, shape, dtype):
    values = rng.standard_normal(shape)
    return (
        (values + 1j * rng.standard_normal(shape)).astype(dtype)
        if dtype.startswith("complex")
        else values.astype(dtype)
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("rows", [(1, 3), (5, 3), (70, 2), (9000, 2)])
def test_sums_of_rows_and_of_segments(rows, seed):
    rng, (batch, channels), every = np.random.default_rng(0), rows, 5
    sums = noise(rng, (batch, channels, 2, every), "complex128")
    strides = [step // 16 for step in sums.strides]
    of_b, of_a = np.full((channels, 3), np.nan, "complex64"), np.full((1, 2), np.nan, "float32")
    first = job(SUM_B, ((1, 0, 0), (channels, strides[1], 3), (3, 1, 1)), ((batch, strides[0]), (2, strides[2])))
    terms = (batch, strides[0]), (channels, strides[1]), (2, strides[2])
    second = job(SUM_A, ((1, 0, 0), (1, 0, 0), (2, 1, 1)), terms)
    whole = launched([(first, sums, of_b), (second, sums[..., 3:], of_a)], seed)
    assert second.terms == (2 * channels * batch, 1)
    assert whole.threads == (1024 if rows == (9000, 2) else 256)
    for found, wanted in ((of_b, sums.sum((0, 2))[:, :3]), (of_a, sums.sum((0, 1, 2)).real[None, 3:])):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("groups", [1, 3, 20])
def test_gradients_of_a_shared_x(groups):
    rng, batch, length, whole = np.random.default_rng(1), 2, 53, 56
    sums = noise(rng, (batch, groups, whole), "complex64")
    found = np.full((batch, length), np.nan, "float32")
    one = job(OF_X, ((batch, groups * whole, length), (1, 0, 0), (length, 1, 1)), ((groups, whole),))
    launched([(one, sums, found)], 7)
    np.testing.assert_allclose(found, sums.sum(1).real[:, :length], rtol=0, atol=1e-5)


def test_varying_coefficients_of_all_rows():
    rng, batch, channels, length, taps = np.random.default_rng(2), 3, 4, 7, 2
    rows = noise(rng, (batch, length, channels, taps), "complex64")
    found = np.full((1, length, 1, taps), np.nan, "complex64")
    strides = [step // 8 for step in rows.strides]
    axes = (1, 0, 0), (length, strides[1], taps), (taps, 1, 1)
    launched([(job(TAPS_B, axes, ((batch, strides[0]), (channels, strides[2]))), rows, found)], 0)
    np.testing.assert_allclose(found, rows.sum((0, 2), keepdims=True), rtol=1e-6)


def test_nothing_to_add_up_is_zero():
    found = np.full((2, 3, 2), np.nan, "complex64")
    axes = (2, 0, 6), (3, 0, 2), (2, 0, 1)
    launched([(job(OF_PAST_Y, axes, ((0, 0),)), np.empty(0, "complex64"), found)], 1)
    assert not found.any()
