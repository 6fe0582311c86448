"""`multirec.biquads`: the cookbook's formulas, its closed-form gains, stability of every value, every array library."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from cookbook import cookbook
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import sosfilt, sosfreqz

from multirec import RecurrenceBank, biquads
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError

RATE = 48000
KINDS = get_args(biquads.Kind)
NAMES = (*KINDS, "band_pass_skirt")
WITH_GAIN = ("peak", "low_shelf", "high_shelf")


def designed(name: str, frequency: Any, q: Any, gain: Any, rate: float = RATE) -> Any:
    parameters = (frequency, q, gain) if name in WITH_GAIN else (frequency, q)
    return getattr(biquads, name)(*parameters, sample_rate=rate)


def drawn(dtype: Any, count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies from 100 to 23 900 Hz, Q from 0.1 to 50 and gains of ±24 dB."""
    rng = np.random.default_rng(0)
    frequency = np.exp(rng.uniform(np.log(100), np.log(23900), count))
    q, gain = np.exp(rng.uniform(np.log(0.1), np.log(50), count)), rng.uniform(-24, 24, count)
    return frequency.astype(dtype), q.astype(dtype), gain.astype(dtype)


def gain_at(sos: Any, hertz: Any, rate: float = RATE) -> np.ndarray:
    """Return |H| of rows (N, 6) at a frequency each, as polynomials in long double."""
    wide = np.asarray(sos, dtype=np.longdouble)
    z = np.exp(-2j * np.pi * np.asarray(hertz, dtype=np.longdouble) / rate)[..., None] ** np.arange(3)
    return np.abs((wide[..., :3] * z).sum(-1) / (wide[..., 3:] * z).sum(-1))


def assert_stable(sos: Any) -> None:
    """Raise unless every row's poles are inside the unit circle, by exact arithmetic."""
    for *_, a0, a1, a2 in np.asarray(sos).reshape(-1, 6).tolist():
        assert a0 == 1
        assert abs(a2) < 1
        assert abs(Fraction(a1)) < 1 + Fraction(a2)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, jnp.asarray], ids=["numpy", "torch", "jax"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_cookbooks_formulas(name: str, dtype: str, library: Any) -> None:
    parameters = drawn(dtype)
    with jax.enable_x64(dtype == "float64"):
        sos = designed(name, *map(library, parameters))
        assert type(sos) is type(library(parameters[0]))
        found = np.asarray(sos)
    assert found.dtype == dtype
    want = np.array([cookbook(name, *row, RATE) for row in zip(*parameters, strict=True)])
    eps = np.finfo(dtype).eps
    # a1 is up to 2, where eps is one unit in its last place
    assert np.abs(found - want)[:, 3:].max() <= 4 * eps
    largest = np.maximum(1, np.abs(want[:, :3]).max(-1))
    assert (np.abs(found - want)[:, :3].max(-1) / largest).max() <= 8 * eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "at_zero", "at_centre", "at_half"),
    [
        ("low_pass", lambda q, a: 1, lambda q, a: q, lambda q, a: 0),
        ("high_pass", lambda q, a: 0, lambda q, a: q, lambda q, a: 1),
        ("band_pass", lambda q, a: 0, lambda q, a: 1, lambda q, a: 0),
        ("band_pass_skirt", lambda q, a: 0, lambda q, a: q, lambda q, a: 0),
        ("notch", lambda q, a: 1, lambda q, a: 0, lambda q, a: 1),
        ("all_pass", lambda q, a: 1, lambda q, a: 1, lambda q, a: 1),
        ("peak", lambda q, a: 1, lambda q, a: a**2, lambda q, a: 1),
        ("low_shelf", lambda q, a: a**2, lambda q, a: a, lambda q, a: 1),
        ("high_shelf", lambda q, a: 1, lambda q, a: a, lambda q, a: a**2),
    ],
)
def test_closed_form_gains(name: str, at_zero: Any, at_centre: Any, at_half: Any, dtype: str) -> None:
    frequency, q, gain = drawn(dtype)
    # away from the edges the precision holds the centre; towards them the next test looks
    frequency = np.clip(frequency, 1000, 23000)
    sos, amplitude = designed(name, frequency, q, gain), 10 ** (gain.astype(float) / 40)
    loose = 5e-3 if dtype == "float32" else 1e-11
    for expected, hertz in ((at_zero, 0 * frequency), (at_centre, frequency), (at_half, 0 * frequency + RATE / 2)):
        want = np.broadcast_to(expected(q, amplitude), q.shape)
        np.testing.assert_allclose(gain_at(sos, hertz), want, rtol=loose, atol=loose)


def test_a_low_float32_filter_keeps_its_gain() -> None:
    frequency = np.array([7, 10, 20, 40], dtype="float32")
    np.testing.assert_allclose(gain_at(biquads.low_pass(frequency, sample_rate=RATE), 0 * frequency), 1, rtol=2e-7)
    np.testing.assert_allclose(gain_at(biquads.high_pass(frequency, sample_rate=RATE), 0 * frequency + 24000), 1)
    narrow = biquads.band_pass(np.float32(1000), np.array([10, 1e3, 1e5], dtype="float32"), sample_rate=RATE)
    centre = np.arccos(-narrow[:, 4].astype(np.longdouble) / (1 + narrow[:, 5].astype(np.longdouble)))
    np.testing.assert_allclose(gain_at(narrow, centre * RATE / 2 / np.pi), 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_all_pass_passes_all_and_no_gain_is_no_filter(dtype: str) -> None:
    frequency, q, gain = drawn(dtype)
    sos = biquads.all_pass(frequency, q, sample_rate=RATE)
    np.testing.assert_allclose(sos[:, :3], sos[:, :2:-1], atol=np.finfo(dtype).eps)
    for name in WITH_GAIN:
        sos = designed(name, frequency, q, 0 * gain)
        assert (sos[:, :3] == sos[:, 3:]).all()


def test_a_boost_and_a_cut_undo_each_other() -> None:
    parameters = drawn("float64")
    for name in WITH_GAIN:
        up, down = (designed(name, *parameters[:2], sign * parameters[2]) for sign in (1, -1))
        x = np.zeros((len(up), 64))
        x[:, 0] = 1
        for row, cut, boost in zip(x, down, up, strict=True):
            np.testing.assert_allclose(sosfilt([boost, cut], row), row, atol=1e-10)


def test_a_bandwidth_is_that_many_octaves() -> None:
    for frequency, octaves in ((200.0, 1 / 3), (1000.0, 1.0), (10000.0, 2.0)):
        q = biquads.q_of_bandwidth(octaves, frequency, sample_rate=RATE)
        w = 2 * np.pi * frequency / RATE
        assert 1 / q == pytest.approx(2 * np.sinh(np.log(2) / 2 * octaves * w / np.sin(w)))
    # where the transform hardly bends the axis, the band is what lies above -3 dB
    edges = 1000 * 2.0 ** np.array([-0.5, 0.5])
    sos = biquads.band_pass(1000.0, biquads.q_of_bandwidth(1.0, 1000.0, sample_rate=RATE), sample_rate=RATE)
    np.testing.assert_allclose(gain_at(sos, edges) ** 2, 0.5, rtol=5e-3)


def test_a_bandwidth_of_tensors_is_limited_and_has_gradients() -> None:
    given = torch.tensor([1.0, -3.0, 0.0, 1e30, torch.inf, 1.0], requires_grad=True)
    hertz = torch.tensor([1000.0, 1000.0, -5.0, 1000.0, 1.0, 23999.0], requires_grad=True)
    q = biquads.q_of_bandwidth(given, hertz, sample_rate=RATE)
    assert q[0].item() == pytest.approx(biquads.q_of_bandwidth(1.0, 1000.0, sample_rate=RATE), rel=1e-6)
    assert torch.isfinite(q).all()
    assert (q > 0).all()
    for gradient in torch.autograd.grad(q.log().sum(), (given, hertz)):
        assert torch.isfinite(gradient).all()
    with jax.enable_x64(True):
        slope = jax.grad(lambda octaves: biquads.q_of_bandwidth(octaves, 1000.0, sample_rate=RATE))(1.0)
    assert slope < 0


WIDE = st.floats(-1e30, 1e30, allow_subnormal=False) | st.floats(-500, 500) | st.floats(0, 1)
HERTZ = WIDE | st.floats(0, 96000) | st.sampled_from([1e-3, 96000.0, 95999.999, 48000.0, math.inf, -math.inf])
Q = WIDE | st.sampled_from([1e-9, 1e6, 1e9, math.inf, 0.0])


@pytest.mark.parametrize("name", NAMES)
@given(frequency=HERTZ, q=Q, gain=WIDE, dtype=st.sampled_from([torch.float32, torch.float64]))
def test_every_value_is_stable_and_has_finite_gradients(
    name: str, frequency: float, q: float, gain: float, dtype: torch.dtype
) -> None:
    parameters = [torch.tensor(value, dtype=dtype, requires_grad=True) for value in (frequency, q, gain)]
    sos = designed(name, *parameters, rate=192000)
    assert torch.isfinite(sos).all()
    assert_stable(sos.detach())
    if name in WITH_GAIN:
        sos = biquads.equaliser([name], *parameters, sample_rate=192000)
    for gradient in torch.autograd.grad(sos.abs().add(1).log().sum(), parameters, allow_unused=True):
        assert gradient is None or torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy, jnp.asarray], ids=["numpy", "torch", "jax"])
def test_extremes_are_stable_in_every_library(dtype: str, library: Any) -> None:
    extremes = np.meshgrid([1e-3, 20, 48000, 95990], [1e-6, 0.7, 1e6, 1e8], [-300, -24, 0, 24, 300])
    with jax.enable_x64(dtype == "float64"):
        parameters = (library(part.astype(dtype).reshape(-1, 1)) for part in extremes)
        sos = np.asarray(biquads.equaliser(KINDS, *parameters, sample_rate=192000))
    assert sos.dtype == dtype
    assert np.isfinite(sos).all()
    assert_stable(sos)


def test_a_value_beyond_the_limit_is_the_limit_and_can_come_back() -> None:
    frequency = torch.tensor([-50.0, 0.0, 24000.0, 90000.0, torch.inf], requires_grad=True)
    sos = biquads.low_pass(frequency, sample_rate=RATE)
    low, high = 1.1101e-4 * RATE, 0.499889 * RATE
    want = biquads.low_pass(torch.tensor([low, low, high, high, high]), sample_rate=RATE)
    torch.testing.assert_close(sos, want, rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(sos[:4, 4].sum(), frequency)
    assert (gradient[:4] > 0).all()
    assert biquads.low_pass(torch.tensor(torch.nan), sample_rate=RATE).isnan().any()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_torch(name: str) -> None:
    parameters = [torch.tensor(part, requires_grad=True) for part in drawn("float64", 4)]

    def made(*parts: torch.Tensor) -> Any:
        return designed(name, *parts)

    parts = parameters if name in WITH_GAIN else parameters[:2]
    function = made if name in WITH_GAIN else lambda *two: designed(name, *two, None)
    assert torch.autograd.gradcheck(function, parts, eps=1e-5, check_forward_ad=True)
    # in kilohertz, so that differences of one size suit all parameters
    assert torch.autograd.gradgradcheck(
        lambda khz, *rest: function(khz * 1000, *rest), [parts[0].detach() / 1000, *parts[1:]], eps=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_jax_are_those_of_torch(name: str) -> None:
    parameters = drawn("float64", 4)
    with jax.enable_x64(True):
        loss = jax.jit(jax.grad(lambda *parts: designed(name, *parts).sum() ** 2, argnums=(0, 1)))
        found = loss(*map(jnp.asarray, parameters))
    tensors = [torch.tensor(part, requires_grad=True) for part in parameters]
    (designed(name, *tensors).sum() ** 2).backward()
    for got, tensor in zip(found, tensors, strict=False):
        np.testing.assert_allclose(got, tensor.grad, rtol=1e-9)


def test_under_transforms_and_compilers() -> None:
    parameters = [torch.tensor(part) for part in drawn("float64", 5)]
    sos = biquads.peak(*parameters, sample_rate=RATE)
    mapped = torch.func.vmap(lambda *parts: biquads.peak(*parts, sample_rate=RATE))(*parameters)
    torch.testing.assert_close(mapped, sos)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda *parts: biquads.equaliser(["peak"], *parts, sample_rate=RATE), backend="aot_eager", fullgraph=True
    )
    torch.testing.assert_close(compiled(*(part[:, None] for part in parameters))[:, 0], sos)
    beside_numbers = torch.compile(
        lambda hertz: biquads.low_shelf(hertz, gain=3, sample_rate=RATE), backend="aot_eager", fullgraph=True
    )
    torch.testing.assert_close(
        beside_numbers(parameters[0]), biquads.low_shelf(parameters[0], gain=3, sample_rate=RATE)
    )
    with jax.enable_x64(True):
        rows = jax.jit(jax.vmap(lambda *parts: biquads.peak(*parts, sample_rate=RATE)))(*map(jnp.asarray, parameters))
    np.testing.assert_allclose(rows, sos, atol=1e-14)


def test_an_equaliser_is_its_sections() -> None:
    frequency, q, gain = (part.reshape(2, len(KINDS)) for part in drawn("float64", 2 * len(KINDS)))
    sos = biquads.equaliser(KINDS, frequency, q, gain, sample_rate=RATE)
    assert sos.shape == (2, len(KINDS), 6)
    for place, name in enumerate(KINDS):
        one = designed(name, frequency[:, place], q[:, place], gain[:, place])
        np.testing.assert_allclose(sos[:, place], one, rtol=1e-14, atol=1e-15)
    y, _ = RecurrenceBank.from_sos(sos)(np.eye(1, 50)[None])
    np.testing.assert_allclose(y[0], [sosfilt(rows, np.eye(1, 50)[0]) for rows in sos], atol=1e-12)
    assert sosfreqz(sos[0])[1].shape == (512,)


def test_shapes_and_precisions() -> None:
    assert biquads.notch(50, 30, sample_rate=1000).shape == (6,)
    assert biquads.notch([50, 100], 30, sample_rate=1000).dtype == np.float64
    assert biquads.notch(np.zeros((4, 1)) + 50, np.ones(3), sample_rate=1000).shape == (4, 3, 6)
    assert biquads.notch(np.zeros(0), 1.0, sample_rate=1000).shape == (0, 6)
    assert biquads.notch(np.float32(50), 30, sample_rate=1000).dtype == np.float32
    assert biquads.notch(np.float16([50]), 30, sample_rate=1000).dtype == np.float32
    assert biquads.notch(np.longdouble(50), 30, sample_rate=1000).dtype == np.float64
    # NumPy's arrays and numbers take the precision of a tensor they meet
    assert biquads.notch(torch.tensor([50.0]), np.ones(3), sample_rate=1000).dtype == torch.float32
    assert biquads.notch(np.array([50.0]), torch.ones(3).bfloat16(), sample_rate=1000).dtype == torch.float32
    assert biquads.notch(torch.tensor([50]), 1, sample_rate=1000).dtype == torch.float64
    with jax.enable_x64(False):
        assert biquads.notch(jnp.array([50]), 1, sample_rate=1000).dtype == jnp.float32


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "hertz",
    [
        np.array([3.0, 2.0, 1.0])[::-1],
        np.arange(1, 4, dtype=">f8"),
        np.arange(1, 4, dtype=np.longdouble),
        np.broadcast_to(np.arange(1.0, 4.0), (1, 3))[0],
    ],
    ids=["backwards", "big-endian", "long", "read-only"],
)
def test_numpys_arrays_of_any_memory(hertz: Any) -> None:
    want = biquads.notch([1.0, 2.0, 3.0], 2.0, sample_rate=RATE)
    np.testing.assert_array_equal(biquads.notch(hertz, 2.0, sample_rate=RATE), want)
    beside = biquads.notch(hertz, torch.full((), 2.0, dtype=torch.float64), sample_rate=RATE)
    np.testing.assert_allclose(beside, want, rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: biquads.low_pass(9000, sample_rate=16000), ArgumentError, "half the sample rate, 8000 Hz, got 9000"),
        (lambda: biquads.low_pass([100.0, -1.0], sample_rate=16000), ArgumentError, r"got -1\."),
        (lambda: biquads.low_pass(8000, sample_rate=16000), ArgumentError, "below half"),
        (lambda: biquads.low_pass(0, sample_rate=16000), ArgumentError, "above 0 Hz"),
        (lambda: biquads.low_pass(math.nan, sample_rate=16000), ArgumentError, "frequency is .* got nan"),
        (lambda: biquads.low_pass(torch.tensor(9.0), q=-1, sample_rate=16000), ArgumentError, "q is above 0"),
        (lambda: biquads.band_pass(100, 0, sample_rate=16000), ArgumentError, "q is above 0 and finite, got 0"),
        (lambda: biquads.band_pass(100, math.inf, sample_rate=16000), ArgumentError, "got inf"),
        (lambda: biquads.peak(100, 1, math.nan, sample_rate=16000), ArgumentError, "gain is finite, in dB, got nan"),
        (lambda: biquads.peak(100, 1, 3, sample_rate=-1), ArgumentError, "sample_rate is above 0 Hz, got -1"),
        (lambda: biquads.peak(100, 1, 3, sample_rate="x"), ArgumentError, "sample_rate is above 0 Hz"),
        (lambda: biquads.peak(100, 1, 1j, sample_rate=9000), FamilyError, "gain is a builtins.complex"),
        (lambda: biquads.peak(100, 1, np.array(1j), sample_rate=9000), DtypeError, "gain has dtype complex128"),
        (lambda: biquads.peak(100, True, 1, sample_rate=9000), DtypeError, "q has dtype bool"),
        (lambda: biquads.notch(torch.ones(1), jnp.ones(1), sample_rate=9), FamilyError, "q is a jax array"),
        (lambda: biquads.q_of_bandwidth(0, 1, sample_rate=9), ArgumentError, "bandwidth is above 0"),
        (lambda: biquads.notch([1, 2], [1, 2, 3], sample_rate=9), ShapeError, r"frequency has shape \(2,\), q has .*3"),
        (lambda: biquads.notch(torch.ones(2), torch.ones(3), sample_rate=9), ShapeError, "cannot be broadcast"),
        (lambda: biquads.notch([[1], [2, 3]], 1, sample_rate=9), ShapeError, "frequency is no array: its rows differ"),
        (lambda: biquads.equaliser(["peek"], 1, 1, sample_rate=9), ArgumentError, "peak, .* got 'peek'"),
        (lambda: biquads.equaliser([], 1, 1, sample_rate=9), ArgumentError, r"a list .* got \[\]"),
        (lambda: biquads.equaliser("peak", 1, 1, sample_rate=9), ArgumentError, "a list .* got 'peak'"),
        (lambda: biquads.equaliser(3, 1, 1, sample_rate=9), ArgumentError, "a list .* got 3"),
        (lambda: biquads.equaliser(["peak"] * 3, [1, 2], 1, sample_rate=9), ShapeError, r"3 sections .* \(2,\)"),
    ],
)
def test_errors(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
