"""Values of lfilter and sosfilt: SciPy's, on any axis, for banks, in blocks, of every library and kind of array."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multirec import signal

RNG = np.random.default_rng(0)
SHAPES = [(31,), (3, 31), (2, 31, 3), (2, 31, 3, 4), (1, 4), (4, 4)]
EVERY_AXIS = [(shape, axis) for shape in SHAPES for axis in range(-len(shape), len(shape))]
FILTERS = {
    "IIR": ([0.2, 0.5, -0.3], [2.0, -1.2, 0.5]),
    "more inputs": ([0.2, 0.5, -0.3, 0.1, 0.7], [1.0, 0.5]),
    "more outputs": ([0.3], [0.5, -0.1, 0.3, -0.05]),
    "zeros in a": ([1.0, 2.0, 3.0], [1.0, 0.0, 0.0, 0.0]),
    "zeros alone": ([0.0, 0.0, 0.0], [1.0, 0.3, 0.0]),
    "FIR": ([0.2, 0.5, -0.3, 0.1], [2.0]),
    "a gain": ([3.0], [2.0]),
}
SOS = scipy.signal.butter(5, 0.3, output="sos")
BANK_SOS = np.stack([scipy.signal.butter(4, edge, output="sos") for edge in (0.1, 0.3, 0.6)])
BANK_B, BANK_A = RNG.standard_normal((3, 4)), np.array([[1.0, 0.5, 0.1], [2.0, 0.3, -0.4], [0.5, -0.1, 0.2]])
LIBRARIES: dict[str, Callable[..., Any]] = {"numpy": np.asarray, "torch": torch.tensor, "jax": jnp.asarray}


@pytest.fixture
def in_64_bit():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def close(actual: Any, expected: Any, atol: float = 1e-11) -> None:
    actual, expected = (parts if isinstance(parts, tuple) else (parts,) for parts in (actual, expected))
    for own, other in zip(actual, expected, strict=True):
        assert tuple(own.shape) == other.shape
        np.testing.assert_allclose(np.asarray(own), other, rtol=0, atol=atol)


def resized(shape: tuple[int, ...], axis: int, count: int) -> tuple[int, ...]:
    shape = list(shape)
    shape[axis] = count
    return tuple(shape)


@pytest.mark.parametrize(("shape", "axis"), EVERY_AXIS)
@pytest.mark.parametrize("name", FILTERS)
def test_lfilter_is_scipys_on_every_axis(name, shape, axis):
    (b, a), x = FILTERS[name], RNG.standard_normal(shape)
    zi = RNG.standard_normal(resized(shape, axis, max(len(b), len(a)) - 1))
    close(signal.lfilter(b, a, x, axis), scipy.signal.lfilter(b, a, x, axis))
    close(signal.lfilter(np.array(b), np.array(a), x, axis), scipy.signal.lfilter(b, a, x, axis))
    close(signal.lfilter(b, a, x, axis, zi), scipy.signal.lfilter(b, a, x, axis, zi))


@pytest.mark.parametrize(("shape", "axis"), EVERY_AXIS)
def test_sosfilt_is_scipys_on_every_axis(shape, axis):
    x, zi = RNG.standard_normal(shape), RNG.standard_normal((len(SOS), *resized(shape, axis, 2)))
    close(signal.sosfilt(SOS, x, axis), scipy.signal.sosfilt(SOS, x, axis))
    close(signal.sosfilt(SOS, x, axis, zi), scipy.signal.sosfilt(SOS, x, axis, zi))


@pytest.mark.parametrize("length", [1, 2, 3, 5])
@pytest.mark.parametrize("name", FILTERS)
def test_memory_longer_than_the_block_is_handed_on(name, length):
    b, a = FILTERS[name]
    x, zi = RNG.standard_normal((2, length)), RNG.standard_normal((1, max(len(b), len(a)) - 1))
    close(signal.lfilter(b, a, x, zi=zi), scipy.signal.lfilter(b, a, x, zi=zi))


@pytest.mark.parametrize("backend", ["reference", "torch_loop", "jax"])
@pytest.mark.parametrize("name", ["IIR", "more inputs", "FIR"])
def test_a_backend_without_sections_goes_on_from_a_memory(name, backend, in_64_bit):
    b, a = FILTERS[name]
    x, zi = RNG.standard_normal((2, 9, 2)), RNG.standard_normal((2, max(len(b), len(a)) - 1, 1))
    close(signal.lfilter(b, a, x, 1, zi, backend=backend), scipy.signal.lfilter(b, a, x, 1, zi))


@pytest.mark.parametrize("b", [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
def test_an_infinite_sample_reaches_what_its_taps_do(b):
    x = np.array([1.0, 1.0, 1.0, np.inf, 1.0, 1.0, 1.0, 1.0])
    for block in (x[:4], x[:5], x[:6], x):
        y, zf = signal.lfilter(b, [1.0], block, zi=np.zeros(len(b) - 1))
        expected, after = scipy.signal.lfilter(b, [1.0], block, zi=np.zeros(len(b) - 1))
        assert (np.isfinite(y) == np.isfinite(expected)).all()
        assert (np.isfinite(zf) == np.isfinite(after)).all()


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 24), max_size=4), axis=st.integers(0, 2), name=st.sampled_from(sorted(FILTERS)))
def test_any_split_on_any_axis_is_the_whole(cuts, axis, name):
    b, a = FILTERS[name]
    x = np.moveaxis(RNG.standard_normal((24, 2, 3)), 0, axis)
    places = sorted({0, 24, *cuts})
    zi = np.zeros(resized(x.shape, axis, max(len(b), len(a)) - 1))
    of_sections = np.zeros((len(SOS), *resized(x.shape, axis, 2)))
    blocks, by_sections = [], []
    for start, stop in pairwise(places):
        block = x.take(range(start, stop), axis)
        y, zi = signal.lfilter(b, a, block, axis, zi)
        blocks.append(y)
        y, of_sections = signal.sosfilt(SOS, block, axis, of_sections)
        by_sections.append(y)
    close(np.concatenate(blocks, axis), scipy.signal.lfilter(b, a, x, axis))
    close(np.concatenate(by_sections, axis), scipy.signal.sosfilt(SOS, x, axis))


@pytest.mark.parametrize("taps", [3, 5, 300])
def test_blocks_forget_an_infinite_sample_as_the_whole_does(taps):
    b, x, blocks = RNG.standard_normal(taps), RNG.standard_normal((2, 700)), []
    x[0, 150] = np.inf
    zi = np.zeros((2, taps - 1))
    for start, stop in pairwise([0, 100, 151, 152, 600, 700]):
        y, zi = signal.lfilter(b, [1.0], x[:, start:stop], zi=zi)
        blocks.append(y)
    close(np.concatenate(blocks, -1), scipy.signal.lfilter(b, [1.0], x))


def test_a_split_bank_is_the_whole_in_torch_and_jax(in_64_bit):
    x = RNG.standard_normal((30, 2, 1))
    whole = signal.lfilter(BANK_B, BANK_A, x, axis=0)
    for convert in (torch.tensor, jnp.asarray):
        zi, done = np.zeros((3, 2, 3)), []
        for start, stop in pairwise([0, 2, 30]):
            y, zi = signal.lfilter(BANK_B, BANK_A, convert(x[start:stop]), axis=0, zi=zi)
            done.append(np.asarray(y))
        close(np.concatenate(done), whole)


@pytest.mark.parametrize(
    ("shape", "axis", "channel_axis"),
    [
        *[((20,), -1, None), ((20,), 0, None), ((1, 20), 1, 0), ((3, 20), 1, 0), ((20, 3), 0, 1), ((20, 1), 0, 1)],
        *[((20, 2, 1), 0, 2), ((2, 20, 3), 1, 2), ((2, 3, 20), 2, 1), ((2, 20, 4, 3), 1, 3), ((2, 20, 4, 1), -3, 3)],
    ],
)
def test_a_bank_is_scipys_filters_in_a_loop(shape, axis, channel_axis):
    x = RNG.standard_normal(shape)

    def looped(one: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
        if channel_axis is None:
            return np.stack([one(place, x) for place in range(3)])
        rows = [x.take(place if x.shape[channel_axis] == 3 else 0, channel_axis) for place in range(3)]
        at = axis % x.ndim - (channel_axis < axis % x.ndim)
        return np.stack([one(place, row, at) for place, row in enumerate(rows)], channel_axis)

    by_transfer = looped(lambda place, row, at=-1: scipy.signal.lfilter(BANK_B[place], BANK_A[place], row, at))
    by_sections = looped(lambda place, row, at=-1: scipy.signal.sosfilt(BANK_SOS[place], row, at))
    forth_and_back = looped(lambda place, row, at=-1: scipy.signal.sosfiltfilt(BANK_SOS[place], row, at, padlen=9))
    close(signal.lfilter(BANK_B, BANK_A, x, axis), by_transfer)
    close(signal.sosfilt(BANK_SOS, x, axis), by_sections)
    close(signal.sosfiltfilt(BANK_SOS, x, axis, padlen=9), forth_and_back, 1e-9)
    along = axis if channel_axis is not None else -1
    zi = np.zeros(resized(by_transfer.shape, along, 3))
    close(signal.lfilter(BANK_B, BANK_A, x, axis, zi)[0], by_transfer)
    zi = np.zeros((2, *resized(by_transfer.shape, along, 2)))
    y, zf = signal.sosfilt(BANK_SOS, x, axis, zi)
    close(y, by_sections)
    assert zf.shape == zi.shape


def test_one_of_b_and_a_may_be_of_all_filters():
    x = RNG.standard_normal(20)
    close(signal.lfilter(BANK_B, [1.0, 0.5], x), np.stack([scipy.signal.lfilter(b, [1.0, 0.5], x) for b in BANK_B]))
    close(signal.lfilter([[1.0]], BANK_A, x), np.stack([scipy.signal.lfilter([1.0], a, x) for a in BANK_A]))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "complex64", pytest.param("complex128", marks=pytest.mark.long)]
)
def test_values_and_types_of_every_library(library, dtype, in_64_bit):
    x = RNG.standard_normal((2, 40)).astype(dtype) * (1j if dtype.startswith("complex") else 1)
    x = x.astype(dtype)
    b, a = (np.array(part, x.real.dtype) for part in FILTERS["IIR"])
    given, atol = LIBRARIES[library](x), 1e-11 if dtype in ("float64", "complex128") else 1e-5
    for y in (signal.lfilter(b, a, given), signal.lfilter(given[0] * 0 + 1, a, given)):
        assert str(y.dtype).removeprefix("torch.") == dtype
        assert type(y) is type(given)
    close(signal.lfilter(b, a, given), scipy.signal.lfilter(b, a, x), atol)
    if library == "jax":
        # each of its shapes is compiled: what it does with the others is tested in compiled functions
        return
    close(signal.sosfilt(SOS.astype(x.real.dtype), given), scipy.signal.sosfilt(SOS, x), atol)
    close(signal.filtfilt(b, a, given), scipy.signal.filtfilt(b, a, x), 10 * atol)
    close(signal.sosfiltfilt(SOS.astype(x.real.dtype), given), scipy.signal.sosfiltfilt(SOS, x), 10 * atol)


@pytest.mark.parametrize("convert", [torch.tensor, jnp.asarray], ids=["torch", "jax"])
def test_numpys_coefficients_do_not_change_the_precision_of_another_library(convert, in_64_bit):
    x, (b, a) = convert(RNG.standard_normal((2, 40)).astype("float32")), FILTERS["IIR"]
    for b, a in (FILTERS["IIR"], map(np.array, FILTERS["IIR"])):
        y, zf = signal.lfilter(b, a, x, zi=np.zeros((2, 2)))
        assert str(y.dtype).endswith("float32")
        assert str(zf.dtype).endswith("float32")
        assert str(signal.lfilter([1.0], [1.0, 0.5], y, zi=zf[:, :1])[0].dtype).endswith("float32")
    y, zf = signal.lfilter(convert(np.ones(2)), convert(np.array([1.0, 0.5])), x, zi=convert(np.zeros((2, 1), "f")))
    assert str(y.dtype).endswith("float64")
    assert str(zf.dtype).endswith("float64")
    sections = signal.sosfilt(SOS, convert(np.ones(9)), zi=convert(np.zeros((3, 2), "f")))
    assert all(str(part.dtype).endswith("float64") for part in sections)
    assert str(signal.lfilter(convert(np.ones(2)), [1.0], x).dtype).endswith("float64")
    assert str(signal.lfilter([1.0], [1.0], convert(np.arange(4))).dtype)[-7:-2] == "float"


# each compiles kernels of its own
@pytest.mark.parametrize("b", ["f", *(pytest.param(char, marks=pytest.mark.long) for char in "dFD")])
def test_scipys_types_of_numpys_arrays(b):
    arrays = {char: np.array([1, 0, 0], char) for char in "bhilefdFD?"}
    for x, array in arrays.items():
        expected = scipy.signal.lfilter(arrays[b], [np.float32(1), np.float32(0.5)], array)
        for found in (
            signal.lfilter(arrays[b], np.array([1, 0.5], "f"), array),
            signal.lfilter(arrays[b], [np.float32(1), np.float32(0.5)], array, zi=np.zeros(2, "f"))[1],
        ):
            assert found.dtype == expected.dtype, x


@pytest.mark.parametrize(
    "make", [lambda x: x[:, ::2], lambda x: x[::-1, ::-1], lambda x: x.T.copy().T, np.asfortranarray]
)
def test_arrays_that_lie_in_any_way(make):
    x = make(RNG.standard_normal((6, 40)))
    for axis in (0, 1):
        before = x.copy()
        x.flags.writeable = False
        close(signal.lfilter(*FILTERS["IIR"], x, axis), scipy.signal.lfilter(*FILTERS["IIR"], x, axis))
        close(signal.sosfilt(SOS, x, axis), scipy.signal.sosfilt(SOS, x, axis))
        close(signal.sosfiltfilt(SOS, x, axis, padlen=4), scipy.signal.sosfiltfilt(SOS, x, axis, padlen=4))
        close(
            signal.filtfilt(*FILTERS["IIR"], x, axis, padlen=4),
            scipy.signal.filtfilt(*FILTERS["IIR"], x, axis, padlen=4),
        )
        assert (x == before).all()


def test_bytes_in_another_order_and_odd_places():
    x = RNG.standard_normal(30)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view("f8")
    assert not odd.flags.aligned
    for own in (x.astype(">f8"), odd, list(x)):
        close(signal.lfilter(*map(np.array, FILTERS["IIR"]), own), scipy.signal.lfilter(*FILTERS["IIR"], x))
        close(signal.lfilter(*FILTERS["IIR"], own, zi=[0, 0]), scipy.signal.lfilter(*FILTERS["IIR"], x, zi=[0, 0]))
        close(signal.sosfilt(SOS, own), scipy.signal.sosfilt(SOS, x))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (0, 3, 5)])
def test_empty_signals(library, shape, in_64_bit):
    x = LIBRARIES[library](np.zeros(shape))
    assert tuple(signal.lfilter(*FILTERS["IIR"], x).shape) == shape
    assert tuple(signal.sosfilt(SOS, x).shape) == shape
    zi = np.ones(resized(shape, -1, 2))
    y, zf = signal.lfilter(*FILTERS["IIR"], x, zi=zi)
    assert tuple(y.shape) == shape
    close(zf, zi if shape[-1] == 0 else zi[:0].reshape(zi.shape))


def test_coefficients_are_read_at_each_call():
    b, a, x = np.array([1.0, 0.0]), np.array([1.0, -0.5]), np.array([1.0, 0.0])
    first = signal.lfilter(b, a, x)
    a[1] = -0.25
    close((first, signal.lfilter(b, a, x)), (np.array([1.0, 0.5]), np.array([1.0, 0.25])))
    a[0] = 0
    with pytest.raises(ValueError, match="a0 is 0"):
        signal.lfilter(b, a, x)


def test_a_backend_is_asked_for():
    x = RNG.standard_normal(30)
    close(signal.lfilter(*FILTERS["IIR"], x, backend="reference"), scipy.signal.lfilter(*FILTERS["IIR"], x))
    with pytest.raises(ValueError, match="no backend named 'nobody'"):
        signal.sosfiltfilt(SOS, x, backend="nobody")
