"""`nn.BandpassBank`: two weights a filter, gain 1 at the centre, -3 dB at the edges of the band."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.signal
import torch

from multirec import nn as mnn
from multirec.errors import ArgumentError, ShapeError

RATE = 16000


def gains(bank, hertz):
    return np.array(
        [
            np.abs(scipy.signal.freqz(b, a, np.atleast_1d(f), fs=bank.sample_rate)[1])
            for b, a, f in zip(*bank.ba(), hertz, strict=True)
        ]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("centres", ["mel", "log", "linear"])
def test_gain_is_one_at_the_centre_and_least_elsewhere(centres, dtype):
    bank = mnn.BandpassBank(9, RATE, centres=centres, dtype=dtype)
    loose = 3e-5 if dtype == torch.float32 else 1e-9
    hertz = bank.centres.tolist()
    np.testing.assert_allclose(gains(bank, hertz), 1.0, atol=loose)
    grid = np.linspace(0, RATE / 2, 4000)
    for b, a in zip(*bank.ba(), strict=True):
        assert np.abs(scipy.signal.freqz(b, a, grid, fs=RATE)[1]).max() <= 1 + 1e-9


def test_bandwidth_is_between_the_half_power_points():
    bank = mnn.BandpassBank(3, RATE, centres=[300.0, 1000.0, 4000.0], bandwidths=[20.0, 300.0, 1000.0])
    grid = np.linspace(1, RATE / 2 - 1, 160_000)
    for (b, a), width in zip(zip(*bank.ba(), strict=True), [20.0, 300.0, 1000.0], strict=True):
        passed = grid[np.abs(scipy.signal.freqz(b, a, grid, fs=RATE)[1]) ** 2 >= 0.5]
        assert passed[-1] - passed[0] == pytest.approx(width, rel=0.01)


def test_is_the_forum_authors_band_pass():
    bank = mnn.BandpassBank(5, RATE, dtype=torch.float64)
    feedforward, _ = bank.coefficients()
    assert sum(weight.numel() for weight in bank.parameters()) == 10
    assert (feedforward[:, 1] == 0).all()
    assert (feedforward[:, 2] == -feedforward[:, 0]).all()
    x = torch.randn(2, 100, dtype=torch.float64)
    y, state = bank(x)
    expected = [scipy.signal.lfilter(b, a, x.numpy()) for b, a in zip(*bank.ba(), strict=True)]
    np.testing.assert_allclose(y.detach(), np.stack(expected, 1), atol=1e-12)
    again, _ = bank(x, state)
    assert again.shape == (2, 5, 100)


def test_grids():
    for centres, warp in (("linear", lambda f: f), ("log", np.log), ("mel", lambda f: np.log(1 + f / 700))):
        bank = mnn.BandpassBank(6, RATE, centres=centres, f_min=100.0, f_max=7000.0, dtype=torch.float64)
        edges = [100.0, *bank.centres.tolist(), 7000.0]
        steps = np.diff(warp(np.array(edges)))
        np.testing.assert_allclose(steps, steps[0])
        np.testing.assert_allclose(bank.bandwidths.detach(), (np.array(edges[2:]) - edges[:-2]) / 2)
    assert mnn.BandpassBank(1, RATE).centres.shape == (1,)
    given = mnn.BandpassBank(3, RATE, centres=[100.0, 200.0, 400.0], dtype=torch.float64)
    np.testing.assert_allclose(given.bandwidths.detach(), [100.0, 150.0, 200.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0, 1e30])
def test_every_weight_is_stable_and_has_finite_gradients(dtype, spread):
    torch.manual_seed(0)
    bank = mnn.BandpassBank(300, RATE, dtype=dtype)
    for weight in bank.parameters():
        torch.nn.init.normal_(weight, std=spread)
    feedforward, feedback = bank.coefficients()
    for a1, a2 in feedback.tolist():
        assert abs(a2) < 1
        assert abs(Fraction(a1)) < 1 - Fraction(a2)
    (feedforward.square().sum() + feedback.square().sum()).backward()
    for weight in bank.parameters():
        assert torch.isfinite(weight.grad).all()
    assert ((bank.centres > 0) & (bank.centres < RATE / 2)).all()
    assert ((bank.bandwidths > 0) & (bank.bandwidths < RATE / 2)).all()


def test_a_narrow_band_in_float32():
    bank = mnn.BandpassBank(1, RATE, centres=[1000.0], bandwidths=0.05)
    _, a = bank.ba()
    assert 1 > np.abs(np.roots(a[0])).max() > 0.99999
    np.testing.assert_allclose(gains(bank, bank.centres.tolist()), 1.0, atol=1e-2)
    bank(torch.randn(2, 300))[0].square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in bank.parameters())


def test_learns_where_a_tone_is():
    time = torch.arange(800) / RATE
    x = torch.sin(2 * torch.pi * 1200 * time)[None]
    bank = mnn.BandpassBank(1, RATE, centres=[900.0], bandwidths=400.0)
    step = torch.optim.Adam([bank.centre_weight], lr=0.05)
    for _ in range(60):
        y, _ = bank(x)
        step.zero_grad()
        (-y.square().mean()).backward()
        step.step()
    assert bank.centres.item() == pytest.approx(1200, rel=0.03)


def test_gradients_of_the_weights():
    bank = mnn.BandpassBank(3, RATE, dtype=torch.float64)
    x = torch.randn(2, 12, dtype=torch.float64)

    def filtered(centre, bandwidth):
        weights = {"centre_weight": centre, "bandwidth_weight": bandwidth}
        return torch.func.functional_call(bank, weights, (x,))[0]

    weights = [weight.detach().requires_grad_() for weight in (bank.centre_weight, bank.bandwidth_weight)]
    assert torch.autograd.gradcheck(filtered, weights)


def test_copies_precision_and_repr():
    bank = mnn.BandpassBank(4, RATE, layout="BTC")
    x = torch.randn(2, 30)
    for twin in (copy.deepcopy(bank), pickle.loads(pickle.dumps(bank))):
        torch.testing.assert_close(twin(x)[0], bank(x)[0], rtol=0, atol=0)
    assert repr(bank) == "BandpassBank(4, sample_rate=16000, layout='BTC')"
    before = bank.centres.detach()
    assert bank.double().coefficients()[0].dtype == torch.float64
    torch.testing.assert_close(bank.centres.detach(), before.double())
    compiled = torch.compile(bank, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x.double())[0], bank(x.double())[0])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"centres": "bark"}, ArgumentError, "'mel', 'log', 'linear'"),
        ({"f_min": 0.0}, ArgumentError, "f_min is above 0"),
        ({"f_min": 9000.0}, ArgumentError, "below f_max"),
        ({"f_max": 20000.0}, ArgumentError, "f_max is at most half the sample rate, 8000 Hz, got 20000 Hz"),
        ({"f_max": float("nan")}, ArgumentError, "below f_max"),
        ({"centres": [1.0, 2.0, 8000.0]}, ArgumentError, "centres of a BandpassBank"),
        ({"centres": [100.0, 200.0]}, ShapeError, r"3 frequencies in Hz, one a channel, got shape \(2,\)"),
        ({"centres": [300.0, 200.0, 100.0]}, ArgumentError, "Pass bandwidths"),
        ({"bandwidths": [1.0, 2.0]}, ShapeError, "bandwidths are 3"),
        ({"bandwidths": -5.0}, ArgumentError, "bandwidths of a BandpassBank"),
        ({"bandwidths": float("nan")}, ArgumentError, "bandwidths of a BandpassBank"),
    ],
)
def test_bad_frequencies(options, error, says):
    with pytest.raises(error, match=says):
        mnn.BandpassBank(3, RATE, **options)


def test_bad_sample_rate_and_channels():
    for rate in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="sample_rate is above 0"):
            mnn.BandpassBank(3, rate)
    with pytest.raises(ShapeError, match="takes 1 or 3 input channels"):
        mnn.BandpassBank(3, RATE)(torch.randn(2, 2, 10))


def made_by(how, cls, *arguments):
    """Return a layer whose memory came from elsewhere, initialised by `reset_parameters`."""
    if how == "skip_init":
        layer = torch.nn.utils.skip_init(cls, *arguments)
    elif how == "device":
        layer = cls(*arguments, device="meta").to_empty(device="cpu")
    else:
        with torch.device("meta"):
            layer = cls(*arguments)
        layer = layer.to_empty(device="cpu")
    with torch.no_grad():
        for weight in layer.parameters():
            weight.fill_(torch.nan)
    layer.reset_parameters()
    return layer


@pytest.mark.parametrize("how", ["skip_init", "device", "context"])
@pytest.mark.parametrize("layer", [(mnn.BandpassBank, 4, RATE), (mnn.FilterBank, 4), (mnn.RecurrenceLayer, 3, 4)])
def test_layers_are_initialised_after_their_memory(how, layer):
    made = made_by(how, *layer)
    assert all(torch.isfinite(weight).all() for weight in made.parameters())
    if layer[0] is mnn.BandpassBank:
        torch.testing.assert_close(made.state_dict(), mnn.BandpassBank(4, RATE).state_dict())


def test_reset_parameters_returns_to_the_frequencies_asked_for():
    bank = mnn.BandpassBank(3, RATE, centres=[440.0, 1000.0, 5000.0], bandwidths=50.0)
    start = {name: weight.clone() for name, weight in bank.state_dict().items()}
    with torch.no_grad():
        for weight in bank.parameters():
            weight.add_(1.0)
    bank.reset_parameters()
    assert all(torch.equal(weight, start[name]) for name, weight in bank.state_dict().items())


def test_a_band_that_is_too_narrow_is_told_what_holds_it():
    with pytest.raises(ArgumentError, match=r"dtype=torch\.float64 together with compute_dtype='float64'"):
        mnn.BandpassBank(1, RATE, centres=[100.0], bandwidths=1e-4)
    mnn.BandpassBank(1, RATE, centres=[100.0], bandwidths=1e-4, dtype=torch.float64, compute_dtype="float64")


def test_a_state_dict_of_another_sample_rate_is_told():
    bank, other = mnn.BandpassBank(3, RATE), mnn.BandpassBank(3, 48000, f_max=7000.0)
    before = other.centres.detach().clone()
    for strict in (True, False):
        with pytest.raises(ArgumentError, match=r"is of a BandpassBank at 16000 Hz, and this one is at 48000 Hz"):
            other.load_state_dict(bank.state_dict(), strict=strict)
        torch.testing.assert_close(other.centres, before, rtol=0, atol=0)
    with pytest.raises(ArgumentError, match="16000"):
        torch.nn.Sequential(other).load_state_dict(torch.nn.Sequential(bank).state_dict())
    mnn.BandpassBank(3, float(RATE)).load_state_dict(bank.state_dict())


def test_a_state_dict_without_a_sample_rate_loads():
    bank = mnn.BandpassBank(3, RATE)
    nested = torch.nn.Sequential(mnn.Chain(bank))
    for module in (bank, nested):
        given = dict(module.named_parameters())
        for strict in (True, False):
            assert str(module.load_state_dict(given, strict=strict)) == "<All keys matched successfully>"
        assert given.keys() == dict(module.named_parameters()).keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_state_dict_that_was_cast_loads(dtype):
    bank = mnn.BandpassBank(3, 44100)
    cast = {name: part.to(dtype) for name, part in bank.state_dict().items()}
    mnn.BandpassBank(3, 44100).load_state_dict(cast)
    with pytest.raises(ArgumentError, match="this one is at 48000 Hz"):
        mnn.BandpassBank(3, 48000).load_state_dict(cast)


def test_a_state_dict_holds_tensors_alone(tmp_path):
    bank = mnn.BandpassBank(3, RATE)
    torch.save(bank.state_dict(), tmp_path / "bank.pt")
    saved = torch.load(tmp_path / "bank.pt", weights_only=True)
    assert all(isinstance(part, torch.Tensor) for part in saved.values())
    mnn.BandpassBank(3, RATE).load_state_dict(saved)
