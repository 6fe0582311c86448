"""`multirec.compat.torchaudio`: its signatures, and its filters by frequency, gain and Q."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal
from torch.autograd import gradcheck

from multirec import errors
from multirec.compat import torchaudio as compat

# of torchaudio 2.11
SIGNATURES = {
    "allpass_biquad": "waveform, sample_rate, central_freq, Q=0.707",
    "band_biquad": "waveform, sample_rate, central_freq, Q=0.707, noise=False",
    "bandpass_biquad": "waveform, sample_rate, central_freq, Q=0.707, const_skirt_gain=False",
    "bandreject_biquad": "waveform, sample_rate, central_freq, Q=0.707",
    "bass_biquad": "waveform, sample_rate, gain, central_freq=100, Q=0.707",
    "biquad": "waveform, b0, b1, b2, a0, a1, a2",
    "deemph_biquad": "waveform, sample_rate",
    "deemphasis": "waveform, coeff=0.97",
    "equalizer_biquad": "waveform, sample_rate, center_freq, gain, Q=0.707",
    "filtfilt": "waveform, a_coeffs, b_coeffs, clamp=True",
    "highpass_biquad": "waveform, sample_rate, cutoff_freq, Q=0.707",
    "lfilter": "waveform, a_coeffs, b_coeffs, clamp=True, batching=True",
    "loudness": "waveform, sample_rate",
    "lowpass_biquad": "waveform, sample_rate, cutoff_freq, Q=0.707",
    "preemphasis": "waveform, coeff=0.97",
    "riaa_biquad": "waveform, sample_rate",
    "treble_biquad": "waveform, sample_rate, gain, central_freq=3000, Q=0.707",
}

# of torchaudio 2.11: what is put out at t = 5, 40 and 63 for the signal below
NUMBERS: list[tuple[str, tuple[float, ...], dict[str, Any], tuple[float, ...]]] = [
    ("allpass_biquad", (16000, 1000.0), {}, (0.175298138845, 0.118489641052, -0.32598830451)),
    ("band_biquad", (16000, 1000.0, 2.0), {}, (-0.055276830634, 0.00316883620625, 0.0623370306486)),
    ("band_biquad", (16000, 1000.0), {"noise": True}, (-0.0630608065699, 0.139103152619, 0.0702013426902)),
    ("bandpass_biquad", (16000, 1000.0), {}, (0.0781925147358, 0.0174878527411, -0.0474018873492)),
    (
        *("bandpass_biquad", (16000, 1000.0, 2.0), {"const_skirt_gain": True}),
        (0.0627761326085, 0.0236802182713, 0.0331544517773),
    ),
    ("bandreject_biquad", (16000, 1000.0, 2.0), {}, (0.300295102013, 0.141625237399, -0.437369305097)),
    ("bass_biquad", (16000, 6.0), {}, (0.318376762747, 0.154421443964, -0.41801491086)),
    ("bass_biquad", (16000, -6.0, 300.0, 2.0), {}, (0.363350065743, 0.12154665061, -0.42322129458)),
    ("deemph_biquad", (44100,), {}, (0.0917843403781, 0.0758636204563, -0.129433289656)),
    ("deemph_biquad", (48000,), {}, (0.0867839001706, 0.0751653712686, -0.124765715303)),
    ("equalizer_biquad", (16000, 1000.0, 6.0), {}, (0.391310728297, 0.175078208082, -0.442792036731)),
    ("equalizer_biquad", (16000, 1000.0, -6.0, 2.0), {}, (0.309717256016, 0.144441307172, -0.42092850923)),
    ("highpass_biquad", (16000, 300.0), {}, (0.402481525458, 0.107805197263, -0.459653273952)),
    ("lowpass_biquad", (16000, 1000.0), {}, (-0.108730550672, 0.0311177105898, 0.0814066756521)),
    ("riaa_biquad", (44100,), {}, (-0.0391390134658, 0.0389628740315, -0.0283833965934)),
    ("riaa_biquad", (48000,), {}, (-0.0401938000231, 0.0375613600114, -0.024177093986)),
    ("riaa_biquad", (88200,), {}, (-0.0385877501407, 0.0285806575715, -0.00823867307334)),
    ("riaa_biquad", (96000,), {}, (-0.0375456744911, 0.0274175053159, -0.00708253624484)),
    ("treble_biquad", (16000, 6.0), {}, (0.57164824106, 0.325515814687, -0.712057530821)),
    ("treble_biquad", (16000, -6.0, 2000.0, 2.0), {}, (0.14403096412, 0.182628978422, -0.184727824823)),
    ("preemphasis", (), {}, (0.365297029703, 0.35995049505, -0.627277227723)),
    ("deemphasis", (), {}, (-0.414565898345, 0.286935976072, -0.013216887802)),
]
SIGNAL = (torch.arange(64, dtype=torch.float64) * 37 % 101) / 101 - 0.5

# central frequency first, whatever the signature's order
TUNED: dict[str, Any] = {
    "allpass": compat.allpass_biquad,
    "band": compat.band_biquad,
    "band, noise": lambda x, rate, f, q: compat.band_biquad(x, rate, f, q, True),
    "bandpass": compat.bandpass_biquad,
    "bandpass, skirt": lambda x, rate, f, q: compat.bandpass_biquad(x, rate, f, q, True),
    "bandreject": compat.bandreject_biquad,
    "highpass": compat.highpass_biquad,
    "lowpass": compat.lowpass_biquad,
}
RAISED: dict[str, Any] = {
    "bass": lambda x, rate, f, q, gain: compat.bass_biquad(x, rate, gain, f, q),
    "equalizer": lambda x, rate, f, q, gain: compat.equalizer_biquad(x, rate, f, gain, q),
    "treble": lambda x, rate, f, q, gain: compat.treble_biquad(x, rate, gain, f, q),
}


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def level(function: Any, frequency: float, rate: int) -> float:
    """Return the gain in dB of a filter at a frequency in Hz, from its impulse response of 8192 samples."""
    impulse = torch.zeros(8192, dtype=torch.float64)
    impulse[0] = 1e-3
    turns = np.exp(-2j * np.pi * frequency / rate * np.arange(8192))
    return 20 * math.log10(abs((function(impulse).numpy() * turns).sum()) / 1e-3)


def test_every_function_has_torchaudios_signature() -> None:
    found = {}
    for name in compat.__all__:
        parameters = inspect.signature(getattr(compat, name)).parameters.values()
        assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
        found[name] = ", ".join(
            part.name if part.default is part.empty else f"{part.name}={part.default!r}" for part in parameters
        )
    assert found == SIGNATURES


@pytest.mark.parametrize(("name", "arguments", "options", "numbers"), NUMBERS)
def test_numbers_of_torchaudio(
    name: str, arguments: tuple[float, ...], options: dict[str, Any], numbers: tuple[float, ...]
) -> None:
    y = getattr(compat, name)(SIGNAL, *arguments, **options)
    assert y.dtype == torch.float64
    np.testing.assert_allclose(y[[5, 40, 63]], numbers, rtol=2e-11)
    single = getattr(compat, name)(SIGNAL.float(), *arguments, **options)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, y, atol=3e-5)


class TestResponses:
    @pytest.mark.parametrize(("kind", "function"), [("low", compat.lowpass_biquad), ("high", compat.highpass_biquad)])
    def test_butterworth(self, kind: str, function: Any) -> None:
        b, a = signal.butter(2, 900, kind, fs=16000)
        y = function(SIGNAL, 16000, 900.0, 1 / math.sqrt(2))
        np.testing.assert_allclose(y, signal.lfilter(b, a, SIGNAL.numpy()), rtol=1e-11, atol=1e-12)

    def test_an_allpass_lets_all_pass(self) -> None:
        for frequency in (10.0, 900.0, 7000.0):
            found = level(lambda x: compat.allpass_biquad(x, 16000, 900.0, 2.0), frequency, 16000)
            assert found == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize(
        ("name", "at", "decibel"),
        [
            *(("band", 900.0, 0.0), ("bandpass", 900.0, 0.0), ("bandpass, skirt", 900.0, 20 * math.log10(2))),
            *(("lowpass", 900.0, 20 * math.log10(2)), ("highpass", 900.0, 20 * math.log10(2)), ("lowpass", 0.0, 0.0)),
            *(("highpass", 8000.0, 0.0), ("bandreject", 0.0, 0.0), ("bandreject", 8000.0, 0.0)),
        ],
    )
    def test_levels(self, name: str, at: float, decibel: float) -> None:
        assert level(lambda x: TUNED[name](x, 16000, 900.0, 2.0), at, 16000) == pytest.approx(decibel, abs=1e-8)

    @pytest.mark.parametrize("gain", [-9.0, 4.0])
    @pytest.mark.parametrize(
        ("name", "at", "share"),
        [
            *(("bass", 0.0, 1.0), ("bass", 900.0, 0.5), ("bass", 8000.0, 0.0)),
            *(("treble", 0.0, 0.0), ("treble", 900.0, 0.5), ("treble", 8000.0, 1.0)),
            *(("equalizer", 0.0, 0.0), ("equalizer", 900.0, 1.0), ("equalizer", 8000.0, 0.0)),
        ],
    )
    def test_gains(self, name: str, at: float, share: float, gain: float) -> None:
        found = level(lambda x: RAISED[name](x, 16000, 900.0, 0.7, gain), at, 16000)
        assert found == pytest.approx(share * gain, abs=1e-8)

    def test_noise_keeps_its_power(self) -> None:
        impulse = torch.zeros(8192, dtype=torch.float64)
        impulse[0] = 0.5
        h = compat.band_biquad(impulse, 16000, 900.0, 2.0, True)
        assert h.square().sum().item() == pytest.approx(0.25, rel=1e-9)

    @pytest.mark.parametrize(("rate", "off"), [(44100, 0.5), (48000, 0.3), (88200, 0.1), (96000, 0.1)])
    def test_riaa_follows_its_three_time_constants(self, rate: int, off: float) -> None:
        def analogue(frequency: float) -> float:
            s = 2j * math.pi * frequency
            return 20 * math.log10(abs((1 + 318e-6 * s) / (1 + 3180e-6 * s) / (1 + 75e-6 * s)))

        for frequency in (20.0, 100.0, 500.0, 1000.0, 5000.0, 10000.0):
            found = level(lambda x: compat.riaa_biquad(x, rate), frequency, rate)
            assert found == pytest.approx(analogue(frequency) - analogue(1000.0), abs=off)

    @pytest.mark.parametrize("rate", [44100, 48000])
    def test_deemph_follows_its_two_time_constants(self, rate: int) -> None:
        for frequency in (100.0, 1000.0, 5000.0, 15000.0):
            s = 2j * math.pi * frequency
            analogue = 20 * math.log10(abs((1 + 15e-6 * s) / (1 + 50e-6 * s)))
            assert level(lambda x: compat.deemph_biquad(x, rate), frequency, rate) == pytest.approx(analogue, abs=0.1)


class TestTensors:
    @pytest.mark.parametrize("name", TUNED)
    def test_gradients_of_frequency_and_q(self, name: str) -> None:
        def function(x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            return TUNED[name](x, 16000, *others)

        inputs = [part.requires_grad_() for part in (0.1 * SIGNAL[:6], number(1500.0), number(0.9))]
        assert gradcheck(function, inputs, eps=1e-6, atol=1e-7)

    @pytest.mark.parametrize("name", RAISED)
    def test_gradients_of_gain(self, name: str) -> None:
        def function(x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            return RAISED[name](x, 16000, *others)

        inputs = [part.requires_grad_() for part in (0.1 * SIGNAL[:6], number(1500.0), number(0.9), number(5.0))]
        assert gradcheck(function, inputs, eps=1e-6, atol=1e-7)

    def test_a_frequency_is_learned(self) -> None:
        wanted = compat.lowpass_biquad(SIGNAL, 16000, 1000.0)
        learned = number(math.log(3000.0)).requires_grad_()
        optimizer = torch.optim.Adam([learned], lr=0.1)
        for _ in range(120):
            optimizer.zero_grad()
            (compat.lowpass_biquad(SIGNAL, 16000, learned.exp()) - wanted).square().mean().backward()
            optimizer.step()
        assert learned.exp().item() == pytest.approx(1000.0, rel=0.01)

    def test_tensors_are_numbers_of_any_type_and_shape_of_one(self) -> None:
        want = compat.lowpass_biquad(SIGNAL, 16000, 1000.0, 2.0)
        got = compat.lowpass_biquad(SIGNAL, 16000, torch.tensor([1000]), torch.tensor([[2.0]]))
        assert torch.equal(got, want)

    def test_axes_are_those_of_the_waveform(self) -> None:
        x = torch.stack([SIGNAL, -SIGNAL]).repeat(3, 1, 1)
        y = compat.treble_biquad(x, 16000, 3.0)
        assert y.shape == (3, 2, 64)
        np.testing.assert_allclose(y[2, 1], -compat.treble_biquad(SIGNAL, 16000, 3.0), rtol=1e-12)

    def test_every_output_is_limited(self) -> None:
        for name, arguments, options, _ in NUMBERS:
            if name != "preemphasis":
                y = getattr(compat, name)(100 * SIGNAL, *arguments, **options)
                assert y.abs().max() == 1

    def test_transformed_and_compiled(self) -> None:
        def loss(frequency: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return compat.lowpass_biquad(x, 16000, frequency).square().sum()

        frequencies = torch.tensor([500.0, 1000.0], dtype=torch.float64)
        found = torch.func.vmap(torch.func.grad(loss), (0, None))(frequencies, SIGNAL)
        leaves = [frequency.clone().requires_grad_() for frequency in frequencies]
        want = [torch.autograd.grad(loss(leaf, SIGNAL), leaf)[0] for leaf in leaves]
        np.testing.assert_allclose(found, want, rtol=1e-10)
        torch._dynamo.reset()
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        assert compiled(frequencies[0], SIGNAL).item() == pytest.approx(loss(frequencies[0], SIGNAL).item(), rel=1e-12)


class TestErrors:
    def test_several_numbers(self) -> None:
        with pytest.raises(errors.ArgumentError, match=r"cutoff_freq has shape \(2,\).*one number.*lfilter"):
            compat.lowpass_biquad(SIGNAL, 16000, torch.tensor([500.0, 600.0]))

    @pytest.mark.parametrize("function", [compat.deemph_biquad, compat.riaa_biquad])
    def test_a_rate_that_is_not_known(self, function: Any) -> None:
        with pytest.raises(errors.ArgumentError, match=r"sample_rate is 16000.*44100"):
            function(SIGNAL, 16000)

    def test_a_waveform_of_integers(self) -> None:
        with pytest.raises(errors.DtypeError, match=r"waveform has dtype torch\.int64"):
            compat.bass_biquad(torch.arange(5), 16000, 3.0)
