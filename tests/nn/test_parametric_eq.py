"""`nn.ParametricEQ`: the cookbook's sections in turn, stable whatever its weights are, and learnable."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
import torch
from scipy import signal

from multirec import RecurrenceBank, biquads
from multirec import nn as mnn
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError

RATE = 16000
KINDS = get_args(biquads.Kind)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_cookbooks_sections_by_scipy(dtype: torch.dtype) -> None:
    frequencies, q, gains = np.geomspace(100, 7000, 8), np.linspace(0.5, 3, 8), np.linspace(-12, 12, 8)
    eq = mnn.ParametricEQ(KINDS, RATE, frequencies=frequencies, q=q, gains=gains, dtype=dtype)
    want = biquads.equaliser(KINDS, frequencies, q, gains, sample_rate=RATE)
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(eq.sos()[0], want, atol=100 * eps)
    for found, given in zip((eq.frequencies, eq.q, eq.gains), (frequencies, q, gains), strict=True):
        np.testing.assert_allclose(found[0].tolist(), given, rtol=20 * eps)
    x = noise(2, 3, 400, dtype=dtype)
    y, state = eq(x)
    expected = signal.sosfilt(eq.sos()[0], x.double().numpy())
    np.testing.assert_allclose(y.detach(), expected, atol=2000 * eps)
    assert len(state) == len(KINDS)
    np.testing.assert_allclose(eq.to_bank().sos(), eq.sos(), rtol=0)
    by_bank, _ = RecurrenceBank.from_sos(eq.sos())(x.double())
    torch.testing.assert_close(y.double(), by_bank, rtol=0, atol=2000 * eps)


def test_it_begins_as_no_filter() -> None:
    for bands in (1, 2, 5):
        sos = mnn.ParametricEQ(bands, RATE).sos()
        assert (sos[..., :3] == sos[..., 3:]).all()
    assert mnn.ParametricEQ(1, RATE).kinds == ("peak",)
    assert mnn.ParametricEQ(4, RATE).kinds == ("low_shelf", "peak", "peak", "high_shelf")


def test_where_it_begins() -> None:
    eq = mnn.ParametricEQ(3, RATE, f_max=2500.0)
    np.testing.assert_allclose(eq.frequencies[0].tolist(), [100, 500, 2500], rtol=1e-5)
    np.testing.assert_allclose(mnn.ParametricEQ(1, RATE).frequencies.tolist(), [[np.sqrt(100 * RATE / 5)]], rtol=1e-5)
    own = mnn.ParametricEQ(2, RATE, channels=2, frequencies=[[50.0, 100.0], [200.0, 400.0]])
    np.testing.assert_allclose(own.frequencies.tolist(), [[50, 100], [200, 400]], rtol=1e-5)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_states(layout: str, channels: int) -> None:
    eq: Any = mnn.ParametricEQ(4, RATE, channels=channels, gains=3.0, layout=layout, dtype=torch.float64)
    x = noise(2, 3, 60, dtype=torch.float64)
    want = eq.freeze()._filter(x.permute({"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]), None)[0]
    x = x.permute({"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout])
    time = {"BCT": 2, "BTC": 1, "TBC": 0}[layout]
    y, last = eq(x)
    torch.testing.assert_close(y, want, rtol=0, atol=0)
    parts, state = [], eq.init_state(x)
    for block in x.split([1, 7, 0, 30, 22], time):
        part, state = eq(block, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, time), y)
    torch.testing.assert_close(state, last)
    torch.testing.assert_close(
        [tuple(part) for part in eq.init_state(x)], [tuple(torch.zeros_like(own) for own in part) for part in last]
    )


@pytest.mark.parametrize("shape", [(50,), (2, 50), (2, 1, 50)])
def test_signals_without_channels(shape: tuple[int, ...]) -> None:
    eq = mnn.ParametricEQ(3, RATE, channels=2, gains=[[3.0, 0.0, 2.0], [0.0, -4.0, 1.0]]).double()
    x = noise(*shape, dtype=torch.float64)
    y, _ = eq(x)
    assert y.shape == (*shape[:1], 2, 50)[-2 if len(shape) == 1 else 0 :]
    want = [signal.sosfilt(rows, x.numpy().reshape(-1, 50)) for rows in eq.sos()]
    np.testing.assert_allclose(y.detach().reshape(-1, 2, 50), np.stack(want, 1), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1.0, 10.0, 1e30])
def test_every_weight_is_stable_and_has_finite_gradients(dtype: torch.dtype, spread: float) -> None:
    torch.manual_seed(0)
    eq = mnn.ParametricEQ(KINDS, RATE, channels=30, dtype=dtype)
    for weight in eq.parameters():
        torch.nn.init.normal_(weight, std=spread)
    feedforward, feedback = eq.coefficients()
    for a1, a2 in feedback.reshape(-1, 2).tolist():
        assert abs(a2) < 1
        assert abs(Fraction(a1)) < 1 - Fraction(a2)
    (feedforward.abs().add(1).log().sum() + feedback.square().sum()).backward()
    for weight in eq.parameters():
        assert torch.isfinite(weight.grad).all()
    assert ((eq.frequencies > 0) & (eq.frequencies < RATE / 2)).all()
    assert (eq.q > 0).all()
    assert torch.isfinite(eq.gains).all()


def test_gradients_of_the_weights() -> None:
    eq = mnn.ParametricEQ(3, RATE, gains=[3.0, -6.0, 2.0], dtype=torch.float64)
    x = noise(1, 1, 12, dtype=torch.float64)
    names = [name for name, _ in eq.named_parameters()]

    def filtered(*weights: torch.Tensor) -> Any:
        return torch.func.functional_call(eq, dict(zip(names, weights, strict=True)), (x,))[0]

    weights = [weight.detach().requires_grad_() for weight in eq.parameters()]
    assert torch.autograd.gradcheck(filtered, weights)


def known() -> mnn.ParametricEQ:
    return mnn.ParametricEQ(3, RATE, frequencies=[200.0, 1500.0, 5000.0], q=[0.7, 2.0, 0.7], gains=[6.0, -9.0, 4.0])


def assert_learns(eq: mnn.ParametricEQ, loss: Any, steps: int) -> None:
    step, losses = torch.optim.Adam(eq.parameters(), lr=0.1), []
    for _ in range(steps):
        losses.append(loss())
        step.zero_grad()
        losses[-1].backward()
        step.step()
    assert losses[-1] < 1e-4 * losses[0]
    for found, want in ((eq.frequencies, [200, 1500, 5000]), (eq.gains, [6, -9, 4]), (eq.q, [0.7, 2, 0.7])):
        np.testing.assert_allclose(found[0].tolist(), want, rtol=0.02)


def test_it_learns_an_equaliser_from_filtered_noise() -> None:
    eq, x = mnn.ParametricEQ(3, RATE), noise(4, 1, 1000)
    want, _ = known().freeze()(x)
    assert_learns(eq, lambda: (eq(x)[0] - want).square().mean(), 130)


def decibels(eq: Any, hertz: torch.Tensor) -> torch.Tensor:
    """Return the gain (C, F) of an equaliser in dB at frequencies (F,), differentiable."""
    delays = torch.exp(-2j * torch.pi * hertz / RATE) ** torch.arange(3)[:, None]
    above, below = (
        (taps[..., None] * delays[first:]).sum(-2) for taps, first in zip(eq.coefficients(), (0, 1), strict=True)
    )
    response = above / (1 - below)
    return 20 * torch.log10(response.abs()).sum(1)


def test_it_learns_an_equaliser_from_its_response() -> None:
    eq, hertz = mnn.ParametricEQ(3, RATE), torch.logspace(1.3, 3.89, 64)
    want = decibels(known().freeze(), hertz)
    assert_learns(eq, lambda: (decibels(eq, hertz) - want).square().mean(), 110)


def test_weights_of_other_precisions() -> None:
    low = {"frequencies": [5.0], "gains": 6.0, "q": 1.0}
    with pytest.raises(
        ArgumentError, match=r"frequencies of a ParametricEQ .* at least 5\.3\d Hz .* dtype=torch\.float64"
    ):
        mnn.ParametricEQ(["low_shelf"], 48000, **low)
    mnn.ParametricEQ(["low_shelf"], 48000, **low, dtype=torch.float64)
    half = mnn.ParametricEQ(3, RATE, gains=3.0, dtype=torch.bfloat16)
    y, state = half(noise(1, 1, 50, dtype=torch.bfloat16))
    assert (y.dtype, half.coefficients()[0].dtype) == (torch.bfloat16, torch.float32)
    assert state[0].outputs.dtype == torch.float32
    wide = mnn.ParametricEQ(3, RATE, gains=3.0, compute_dtype="float64")
    y, state = wide(noise(1, 1, 50))
    assert (y.dtype, wide.coefficients()[0].dtype, state[2].outputs.dtype) == (
        *[torch.float32, torch.float64] * 1,
        torch.float64,
    )


def test_copies_and_state_dicts() -> None:
    eq = mnn.ParametricEQ(3, RATE, gains=[1.0, 2.0, 3.0])
    x = noise(2, 1, 30)
    for twin in (copy.deepcopy(eq), pickle.loads(pickle.dumps(eq))):
        torch.testing.assert_close(twin(x)[0], eq(x)[0], rtol=0, atol=0)
    assert repr(eq) == "ParametricEQ([low_shelf, peak, high_shelf], sample_rate=16000)"
    other = mnn.ParametricEQ(3, RATE)
    other.load_state_dict(eq.state_dict())
    torch.testing.assert_close(other(x)[0], eq(x)[0], rtol=0, atol=0)
    with pytest.raises(ArgumentError, match="is of a ParametricEQ at 16000 Hz, and this one is at 48000 Hz"):
        mnn.ParametricEQ(3, 48000).load_state_dict(eq.state_dict())
    with pytest.raises(ArgumentError, match=r"of low_shelf, peak, high_shelf, .* bands=\['low_shelf', 'peak', 'high_"):
        mnn.ParametricEQ(["peak"] * 3, RATE).load_state_dict(eq.state_dict())
    other.load_state_dict({name: part.half() for name, part in eq.state_dict().items()})
    torch.testing.assert_close(other.gains, eq.gains, rtol=1e-3, atol=0)
    other.reset_parameters()
    torch.testing.assert_close(other.gains, torch.zeros(1, 3), rtol=0, atol=0)
    with torch.device("meta"):
        made = mnn.ParametricEQ(3, RATE, gains=[1.0, 2.0, 3.0])
    made = made.to_empty(device="cpu")
    made.reset_parameters()
    torch.testing.assert_close(made.state_dict(), eq.state_dict())


@pytest.mark.filterwarnings("error:Dynamo detected")
def test_it_compiles() -> None:
    eq, x = mnn.ParametricEQ(3, RATE, gains=3.0), noise(2, 1, 40)
    torch._dynamo.reset()
    y, state = torch.compile(eq, backend="aot_eager", fullgraph=True)(x)
    want, after = eq(x)
    torch.testing.assert_close(y, want)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: mnn.ParametricEQ(0, RATE), ArgumentError, "bands is a whole number of at least 1, got 0"),
        (lambda: mnn.ParametricEQ(["peek"], RATE), ArgumentError, "got 'peek'"),
        (lambda: mnn.ParametricEQ("peak", RATE), ArgumentError, "a list .* got 'peak'"),
        (lambda: mnn.ParametricEQ(3, 0), ArgumentError, "sample_rate is above 0 Hz, got 0"),
        (lambda: mnn.ParametricEQ(3, RATE, channels=0), ArgumentError, "channels is a whole number"),
        (lambda: mnn.ParametricEQ(2, RATE, frequencies=[100.0, 9000.0]), ArgumentError, "8000 Hz, got 9000"),
        (lambda: mnn.ParametricEQ(2, RATE, frequencies="bark"), ArgumentError, "frequencies is 'mel', 'log', 'linear'"),
        (lambda: mnn.ParametricEQ(2, RATE, q=[1.0, 0.0]), ArgumentError, "q is above 0 and finite, got 0"),
        (lambda: mnn.ParametricEQ(2, RATE, gains=float("nan")), ArgumentError, "gain is finite, in dB"),
        (lambda: mnn.ParametricEQ(2, RATE, gains=[1.0, 2.0, 3.0]), ShapeError, r"gains of a ParametricEQ of 2 bands"),
        (lambda: mnn.ParametricEQ(2, RATE, dtype=torch.complex64), DtypeError, "weights of a ParametricEQ"),
        (lambda: mnn.ParametricEQ(2, RATE)([1.0]), FamilyError, "ParametricEQ takes a torch tensor"),
        (lambda: mnn.ParametricEQ(2, RATE, channels=3)(noise(1, 2, 5)), ShapeError, "takes 1 or 3 input channels"),
        (lambda: mnn.ParametricEQ(2, RATE)(noise(1, 1, 5), ()), ArgumentError, "tuple of 2 States, got 0 parts"),
    ],
)
def test_errors(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
