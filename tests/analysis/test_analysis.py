"""Responses and delays, against SciPy, exact arithmetic and differences; what is analysed; what is refused."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from filters import DESIGNS
from scipy import signal

import multirec as mr
from multirec import analysis, nn
from multirec.errors import ArgumentError, FamilyError, ShapeError

designs = pytest.mark.parametrize(("b", "a"), DESIGNS.values(), ids=DESIGNS)
SOS = signal.butter(10, [20, 200], "bandpass", fs=48000, output="sos")


def of_ba(b, a):
    return mr.RecurrenceBank.from_ba(b, a)


@designs
def test_frequency_response_is_scipys(b, a):
    radians, response = analysis.frequency_response(of_ba(b, a))
    expected_radians, expected = signal.freqz(b, a)
    np.testing.assert_array_equal(radians, expected_radians)
    assert response.shape == (1, 512)
    np.testing.assert_allclose(response[0], expected, rtol=1e-9, atol=1e-11 * abs(expected).max())


def test_frequencies_are_in_hertz_with_a_sample_rate():
    b, a = DESIGNS["low-pass, order 4"]
    hertz, response = analysis.frequency_response(of_ba(b, a), [0.0, 1000.0, 7999.0, -500.0], sample_rate=16000)
    np.testing.assert_array_equal(hertz, [0.0, 1000.0, 7999.0, -500.0])
    np.testing.assert_allclose(response[0], signal.freqz(b, a, hertz, fs=16000)[1], atol=1e-14)
    hertz, _ = analysis.frequency_response(of_ba(b, a), 4, sample_rate=16000)
    np.testing.assert_array_equal(hertz, [0, 2000, 4000, 6000])


def test_sections_are_scipys():
    response = analysis.frequency_response(mr.RecurrenceBank.from_sos(SOS), 300)[1]
    np.testing.assert_allclose(response[0], signal.sosfreqz(SOS, 300)[1], rtol=1e-6, atol=1e-12)


@designs
def test_group_delay_is_scipys(b, a):
    # SciPy's formula loses digits where poles are near z = 1, and sets 0 at zeros on the circle
    radians = np.linspace(0.013, 3.1, 200)
    delay = analysis.group_delay(of_ba(b, a), radians)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = signal.group_delay((b, a), radians)[1]
    np.testing.assert_allclose(delay[0], expected, rtol=1e-6, atol=1e-5)


def test_group_delay_of_sections_adds_up():
    cascade, radians = mr.RecurrenceBank.from_sos(SOS), np.linspace(0.01, 3, 50)
    delays = [analysis.group_delay(section, radians)[1] for section in cascade.sections]
    np.testing.assert_allclose(analysis.group_delay(cascade, radians)[1], sum(delays), rtol=1e-12)


def exactly(sos, radians):
    """The response and the group delay of sections, in 60 digits."""
    mpmath = pytest.importorskip("mpmath", reason="it comes with torch")
    with mpmath.workdps(60):
        response, delay = mpmath.mpc(1), mpmath.mpf(0)
        step = mpmath.expj(-mpmath.mpf(radians))
        for row in sos:
            for taps, sign in ((row[:3], 1), (row[3:], -1)):
                terms = [mpmath.mpf(tap) * step**k for k, tap in enumerate(taps)]
                response *= sum(terms) ** sign
                delay += sign * mpmath.re(sum(k * term for k, term in enumerate(terms)) / sum(terms))
        return complex(response), float(delay)


@pytest.mark.parametrize("hertz", [1e-4, 0.1, 5.0, 19.9, 20.0, 1000.0, 23999.0])
def test_poles_near_one_cost_no_digits(hertz):
    cascade = mr.RecurrenceBank.from_sos(signal.butter(10, 20, "high", fs=48000, output="sos"))
    radians = hertz * (2 * np.pi / 48000)
    response, delay = exactly(cascade.sos()[0], radians)
    assert abs(analysis.frequency_response(cascade, [radians])[1][0, 0] / response - 1) < 5e-15
    np.testing.assert_allclose(analysis.group_delay(cascade, [radians])[1][0, 0], delay, rtol=1e-13)


@pytest.mark.parametrize(
    ("b", "at", "delay"),
    [
        ([1, -2, 1], 0.0, 1.0),
        ([1, -1, 0], 0.0, 0.5),
        ([1, 0, -1], 0.0, 1.0),
        ([1, 2, 1], np.pi, 1.0),
        ([1, -np.sqrt(2), 1], np.pi / 4, 1.0),
        # 0.5 of the zero at 1, and of 1 - 0.5/z: -0.5/(1 - 0.5)
        ([1, -1.5, 0.5], 0.0, 0.5 - 1.0),
        # two zeros at 1, and the same
        ([1, -2.5, 2.0, -0.5], 0.0, 1.0 - 1.0),
        (np.poly(np.ones(6)), 0.0, 3.0),
        (signal.firwin(32, 0.3), np.pi, 15.5),
    ],
)
def test_the_delay_at_a_zero_on_the_circle_is_the_limit(b, at, delay):
    bank = of_ba(np.asarray(b, float), 1.0)
    assert abs(analysis.frequency_response(bank, [at])[1]) < 1e-15
    np.testing.assert_allclose(analysis.group_delay(bank, [at])[1], [[delay]], atol=1e-12)
    beside = analysis.group_delay(bank, [at - 1e-3, at + 1e-3])[1]
    np.testing.assert_allclose(beside.mean(), delay, atol=1e-5)


def test_the_delay_at_three_zeros_in_one_polynomial_is_not_known():
    bank = of_ba(np.convolve(np.poly(np.ones(3)), [1, 0.5]), 1.0)
    assert np.isnan(analysis.group_delay(bank, [0.0])[1])


def test_a_pole_on_the_circle_is_not_finite():
    bank = of_ba([[1.0, 0], [1, 0]], [[1, -1], [1, -0.5]])
    response = analysis.frequency_response(bank, [0.0])[1]
    assert not np.isfinite(response[0, 0])
    assert response[1, 0] == 2


@designs
def test_impulse_response_is_scipys(b, a):
    length = 40
    taps = max(len(b), len(a))
    padded = [np.pad(part, (0, taps - len(part))) for part in (b, a)]
    _, (expected,) = signal.dimpulse((*padded, 1), n=length)
    found = analysis.impulse_response(of_ba(b, a), length)
    np.testing.assert_allclose(found, expected.T, atol=1e-12)


def test_impulse_response_of_sections_and_of_no_samples():
    cascade = mr.RecurrenceBank.from_sos(SOS)
    found = analysis.impulse_response(cascade, 200)
    np.testing.assert_allclose(found[0], signal.sosfilt(SOS, np.eye(1, 200)[0]), atol=1e-12)
    assert analysis.impulse_response(cascade, 0).shape == (1, 0)


def test_complex_coefficients():
    feedback = np.array([[0.3 + 0.4j, -0.2j], [1.2j, 0]])
    bank = mr.RecurrenceBank(feedforward=np.array([[1 + 1j, 0.5]]), feedback=feedback)
    radians = np.linspace(-3, 3, 11)
    for channel, (b, a) in enumerate(zip(*bank.ba(), strict=True)):
        np.testing.assert_allclose(
            analysis.frequency_response(bank, radians)[1][channel], signal.freqz(b, a, radians)[1], atol=1e-13
        )
        np.testing.assert_allclose(np.polyval(a, analysis.poles(bank)[channel]), 0, atol=1e-14)
    np.testing.assert_array_equal(analysis.is_stable(bank), [True, False])
    step = 1e-6
    before, after = (np.unwrap(np.angle(analysis.frequency_response(bank, radians + d)[1])) for d in (-step, step))
    np.testing.assert_allclose(
        analysis.group_delay(bank, radians)[1], -np.angle(np.exp(1j * (after - before))) / 2 / step, atol=1e-6
    )


def test_a_reversed_bank_responds_at_negative_frequency():
    forward, back = (mr.RecurrenceBank(feedback=np.array([[0.5, 0.2]]), reverse=way) for way in (False, True))
    np.testing.assert_allclose(
        analysis.frequency_response(back, 9)[1], analysis.frequency_response(forward, 9)[1].conj(), atol=1e-15
    )
    np.testing.assert_allclose(analysis.group_delay(back, 9)[1], -analysis.group_delay(forward, 9)[1], atol=1e-15)
    np.testing.assert_array_equal(analysis.impulse_response(back, 9), analysis.impulse_response(forward, 9))
    np.testing.assert_array_equal(analysis.poles(back), analysis.poles(forward))
    # what it does to a wave that is long enough
    wave = np.exp(0.3j * np.arange(400))
    np.testing.assert_allclose(
        back(wave[None])[0][0, 100] / wave[100], analysis.frequency_response(back, [0.3])[1][0, 0], atol=1e-12
    )


def test_batch_axes_stay_first():
    rng = np.random.default_rng(0)
    b, feedback = rng.standard_normal((2, 4, 1, 3)), 0.3 * rng.standard_normal((2, 1, 5, 2))
    bank = mr.RecurrenceBank(feedforward=b, feedback=feedback)
    results = {
        "response": analysis.frequency_response(bank, 7)[1],
        "delay": analysis.group_delay(bank, 7)[1],
        "impulse": analysis.impulse_response(bank, 7),
        "poles": analysis.poles(bank),
        "zeros": analysis.zeros(bank),
    }
    assert {name: found.shape for name, found in results.items()} == {
        **dict.fromkeys(("response", "delay", "impulse"), (2, 4, 5, 7)),
        **dict.fromkeys(("poles", "zeros"), (2, 4, 5, 2)),
    }
    assert analysis.is_stable(bank).shape == analysis.stability_margin(bank).shape == (2, 4, 5)
    alone = mr.RecurrenceBank(feedforward=b[1, 3], feedback=feedback[1, 0])
    np.testing.assert_allclose(results["response"][1, 3], analysis.frequency_response(alone, 7)[1], atol=1e-14)
    np.testing.assert_allclose(results["impulse"][1, 3], analysis.impulse_response(alone, 7), atol=1e-14)


def taps():
    torch.manual_seed(1)
    b = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    return b, (0.4 * torch.randn(2, 2, dtype=torch.float64)).requires_grad_()


@pytest.mark.parametrize("function", [analysis.frequency_response, analysis.group_delay])
def test_responses_are_differentiable_twice(function):
    def of(b, feedback, radians):
        return function(mr.RecurrenceBank(feedforward=b, feedback=feedback), radians)[1]

    operands = (*taps(), torch.linspace(0.1, 3, 4, dtype=torch.float64).requires_grad_())
    assert torch.autograd.gradcheck(of, operands)
    assert torch.autograd.gradgradcheck(of, operands)


def test_impulse_responses_are_differentiable_twice():
    def of(b, feedback):
        return analysis.impulse_response(mr.RecurrenceBank(feedforward=b, feedback=feedback), 6)

    assert torch.autograd.gradcheck(of, taps())
    assert torch.autograd.gradgradcheck(of, taps())


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda layer: analysis.frequency_response(layer, 9, sample_rate=8000)[1], marks=pytest.mark.long),
        pytest.param(lambda layer: analysis.group_delay(layer, [0.5, 1.0])[1], marks=pytest.mark.long),
        lambda layer: analysis.impulse_response(layer, 9),
    ],
    ids=["response", "delay", "impulse"],
)
def test_responses_compile(ask):
    layer = nn.FilterBank(3)
    torch._dynamo.reset()
    compiled = torch.compile(lambda: ask(layer), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(), ask(layer))


def test_gradients_are_finite_where_a_response_is_zero():
    b = torch.tensor([[1.0, -2, 1], [1, -1, 0], [1, 0, -1]], dtype=torch.float64, requires_grad=True)
    delay = analysis.group_delay(mr.RecurrenceBank(feedforward=b), [0.0, 1.0])[1]
    delay.sum().backward()
    assert torch.isfinite(b.grad).all()


def loss(bank):
    response, delay = analysis.frequency_response(bank, 8)[1], analysis.group_delay(bank, 8)[1]
    return abs(response).sum() + delay.sum()


def energy(bank):
    return (analysis.impulse_response(bank, 8) ** 2).sum()


@pytest.mark.parametrize("function", [pytest.param(loss, marks=pytest.mark.long), energy])
def test_jax_is_as_torch_under_jit_and_to_second_order(function):
    b, feedback = taps()

    def of_feedback(feedback):
        return function(mr.RecurrenceBank(feedforward=fixed, feedback=feedback))

    fixed = b.detach()
    hessian = torch.autograd.functional.hessian(of_feedback, feedback)
    function(mr.RecurrenceBank(feedforward=b, feedback=feedback)).backward()
    with jax.enable_x64(True):
        fixed, other = (jnp.asarray(part.detach().numpy()) for part in (b, feedback))
        gradient = jax.jit(jax.grad(function))(mr.RecurrenceBank(feedforward=fixed, feedback=other))
        np.testing.assert_allclose(gradient.feedforward, b.grad, rtol=1e-10)
        np.testing.assert_allclose(gradient.feedback, feedback.grad, rtol=1e-10)
        np.testing.assert_allclose(jax.jit(jax.hessian(of_feedback))(other), hessian, rtol=1e-9, atol=1e-12)


def test_jax_without_double_precision_computes_in_single():
    with jax.enable_x64(False):
        bank = mr.RecurrenceBank(feedback=jnp.asarray([[0.5]]))
        frequencies, response = analysis.frequency_response(bank, 4)
        assert (frequencies.dtype, response.dtype) == (jnp.float32, jnp.complex64)
        np.testing.assert_allclose(response[0], signal.freqz([1], [1, -0.5], 4)[1], rtol=1e-6)


LAYERS = {
    "FilterBank": lambda: nn.FilterBank(3),
    "BandpassBank": lambda: nn.BandpassBank(3, 16000),
    "RecurrenceLayer": lambda: nn.RecurrenceLayer(2, 3),
    "FrozenBank": lambda: nn.FilterBank(3).freeze(),
    "FrozenLayer": lambda: nn.RecurrenceLayer(2, 3, reverse=True).freeze(),
    "order 0": lambda: nn.FilterBank(3, order=0, input_order=4),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layers_are_analysed_as_their_coefficients(make):
    layer = make()
    bank = layer.to_bank()
    assert (bank.channels, bank.layout, bank.reverse) == (3, layer.layout, layer.reverse)
    radians, response = analysis.frequency_response(layer, 16)
    assert (response.dtype, tuple(response.shape)) == (torch.complex128, (3, 16))
    for channel, (b, a) in enumerate(zip(*layer.ba(), strict=True)):
        expected = signal.freqz(b, a, radians.numpy())[1]
        found = response[channel].numpy(force=True)
        np.testing.assert_allclose(found.conj() if layer.reverse else found, expected, atol=1e-12)
    assert analysis.is_stable(layer).all()


def test_any_precision_is_analysed_in_double():
    for taps in (torch.tensor([[0.5]], dtype=torch.bfloat16), np.array([[0.5]], np.float16), np.float32([[0.5]])):
        bank = mr.RecurrenceBank(feedback=taps)
        np.testing.assert_array_equal(np.asarray(analysis.impulse_response(bank, 60)[0]), 0.5 ** np.arange(60.0))
        assert "complex128" in str(analysis.frequency_response(bank, 3)[1].dtype)
    mixed = mr.RecurrenceBank(feedforward=np.array([[2.0]]), feedback=torch.tensor([[0.5]]))
    assert analysis.frequency_response(mixed, [0.0])[1].item() == 4


def test_responses_under_vmap_are_those_of_each():
    feedback = torch.rand(4, 2, 2) / 3
    radians = np.linspace(0, 3, 5)[::-1]

    def of(feedback):
        return analysis.frequency_response(mr.RecurrenceBank(feedback=feedback), radians)[1]

    torch.testing.assert_close(torch.func.vmap(of)(feedback), of(feedback), rtol=0, atol=0)


def test_a_loss_on_the_response_trains_a_layer():
    layer = nn.BandpassBank(3, 16000)
    analysis.frequency_response(layer, 16)[1].abs().sum().backward()
    assert layer.centre_weight.grad.abs().min() > 0


def test_bad_arguments():
    bank = mr.RecurrenceBank(feedback=np.array([[0.5]]))
    with pytest.raises(ArgumentError, match=r"from_ba\(b, a\)"):
        analysis.poles(([1.0], [1.0, -0.5]))
    with pytest.raises(ArgumentError, match="unit"):
        analysis.is_stable(nn.Chain(nn.FilterBank(2)))
    with pytest.raises(ArgumentError, match="Ask outside"):
        jax.jit(lambda taps: analysis.poles(mr.RecurrenceBank(feedback=taps)))(jnp.ones((1, 1)))
    with pytest.raises(ArgumentError, match="Ask outside"):
        torch.func.vmap(lambda taps: analysis.is_stable(mr.RecurrenceBank(feedback=taps)))(torch.ones(2, 1, 1))
    for count in (0, -1, 2.5, True):
        with pytest.raises(ArgumentError, match="how many"):
            analysis.frequency_response(bank, count)
    for rate in (0, -1.0, np.inf, "16k"):
        with pytest.raises(ArgumentError, match="sample_rate"):
            analysis.group_delay(bank, sample_rate=rate)
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        analysis.frequency_response(bank, np.ones((2, 3)))
    with pytest.raises(FamilyError, match="torch"):
        analysis.frequency_response(bank, torch.ones(3))
    for length in (-1, 1.5, True):
        with pytest.raises(ArgumentError, match="length"):
            analysis.impulse_response(bank, length)
