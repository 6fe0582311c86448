"""`multirec.compat.torchaudio.loudness`, and the filters of ITU-R BS.1770 beside those of torchaudio."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import signal

from multirec import errors
from multirec.compat import torchaudio as compat

RATE = 48000

# rows of b and a: a shelf and a high-pass, as the recommendation prints them for 48 kHz
RECOMMENDED = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
# of torchaudio 2.11
TORCHAUDIOS = (
    ((1.53518288636375, -2.6918040301992, 1.19842626333315), (1.0, -1.69069958659869, 0.73250470609639)),
    ((0.995044297017892, -1.99008859403578, 0.995044297017892), (1.0, -1.99007628401842, 0.990100904053144)),
)


def tone(seconds: float = 4.0, amplitude: float = 1.0) -> torch.Tensor:
    """Return a sine of 997 Hz."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64)
    return amplitude * torch.sin(2 * math.pi * 997 * time / RATE)


def uneven() -> torch.Tensor:
    """Return a second of loud and a second of quiet stereo."""
    time = torch.arange(2 * RATE, dtype=torch.float64)
    channels = torch.stack([(time * 37 % 101) / 101 - 0.5, (time * 53 % 211) / 211 - 0.5])
    return channels * torch.where(time < RATE, 0.2, 0.0002)


def weighted(x: torch.Tensor, filters: tuple[tuple[tuple[float, ...], ...], ...]) -> torch.Tensor:
    for b, a in filters:
        x = compat.lfilter(x, *(torch.tensor(part, dtype=torch.float64) for part in (a, b)), clamp=False)
    return x


def reading(x: torch.Tensor) -> float:
    """Return the loudness of one weighted front channel, without gates."""
    return -0.691 + 10 * math.log10(x.square().mean().item())


class TestWeighting:
    def test_a_full_scale_sine_reads_as_the_recommendation_says(self) -> None:
        """997 Hz in one front channel: −3.01 LKFS."""
        assert reading(weighted(tone(), RECOMMENDED)[RATE:]) == pytest.approx(-3.01, abs=0.01)

    def test_filters_are_those_of_scipy(self) -> None:
        x = tone(0.2)
        want = x.numpy()
        for b, a in RECOMMENDED:
            want = signal.lfilter(b, a, want)
        np.testing.assert_allclose(weighted(x, RECOMMENDED), want, rtol=1e-9, atol=1e-12)

    def test_torchaudios_filters_read_a_little_less(self) -> None:
        """The recommendation's high-pass has b = 1, −2, 1; torchaudio's has a gain of 1 at high frequencies."""
        assert reading(weighted(tone(), TORCHAUDIOS)[RATE:]) == pytest.approx(-3.05, abs=0.01)

    def test_which_filters_loudness_uses(self) -> None:
        x = 0.1 * uneven()[0, :RATE]
        stages = (
            compat.treble_biquad(x, RATE, 4.0, 1500.0, 1 / math.sqrt(2)),
            compat.highpass_biquad(x, RATE, 38.0, 0.5),
        )
        for stage, filters in zip(stages, TORCHAUDIOS, strict=True):
            torch.testing.assert_close(stage, weighted(x, (filters,)), rtol=1e-8, atol=1e-9)


class TestLoudness:
    @pytest.mark.parametrize(
        ("x", "rate", "lkfs"),
        [
            (uneven(), RATE, -19.2456448414),
            (uneven()[:, ::3], 16000, -19.7785148951),
            (torch.stack([uneven()[0].roll(shift) for shift in range(5)]), RATE, -14.5390553546),
            (tone()[None], RATE, -3.2803764257),
            (tone(amplitude=0.5)[None], RATE, -9.0722863722),
        ],
        ids=["stereo", "16 kHz", "five channels", "full scale", "half scale"],
    )
    def test_numbers_of_torchaudio(self, x: torch.Tensor, rate: int, lkfs: float) -> None:
        assert compat.loudness(x, rate).item() == pytest.approx(lkfs, rel=1e-10)
        assert compat.loudness(x.float(), rate).item() == pytest.approx(lkfs, abs=1e-3)

    def test_surround_weighs_more(self) -> None:
        x, silent = tone(1.0, 0.1), torch.zeros(RATE, dtype=torch.float64)
        front, back = (compat.loudness(torch.stack(rows), RATE) for rows in ([x], [silent] * 3 + [x]))
        assert (back - front).item() == pytest.approx(10 * math.log10(1.41), rel=1e-9)

    @pytest.mark.parametrize("scales", [(1.0, 0.001, 0.0, 0.02), (0.005, 0.002)], ids=["relative", "absolute"])
    def test_gates(self, scales: tuple[float, ...]) -> None:
        """As the recommendation words it, block by block."""
        x = torch.cat([scale * uneven()[:, :RATE] for scale in scales], -1)
        rows = x.numpy()
        for b, a in TORCHAUDIOS:
            rows = signal.lfilter(b, a, rows)
        length, step = 2 * RATE // 5, RATE // 10
        powers = [(rows[:, at : at + length] ** 2).mean(-1).sum() for at in range(0, rows.shape[1] - length + 1, step)]
        levels = [-0.691 + 10 * math.log10(power) for power in powers]
        heard = [power for power, level in zip(powers, levels, strict=True) if level > -70]
        limit = -0.691 + 10 * math.log10(np.mean(heard)) - 10
        kept = [power for power, level in zip(powers, levels, strict=True) if level > max(limit, -70)]
        assert 0 < len(kept) < len(powers)
        assert compat.loudness(x, RATE).item() == pytest.approx(-0.691 + 10 * math.log10(np.mean(kept)), rel=1e-8)

    def test_a_batch_has_a_number_each(self) -> None:
        x = torch.stack([uneven(), 0.1 * uneven(), uneven().flip(-2)]).unflatten(0, (3, 1))
        found = compat.loudness(x, RATE)
        assert found.shape == (3, 1)
        for one, number in zip(x[:, 0], found[:, 0], strict=True):
            assert compat.loudness(one, RATE).item() == pytest.approx(number.item(), rel=1e-12)

    def test_silence_has_no_loudness(self) -> None:
        assert compat.loudness(torch.zeros(2, RATE), RATE).isnan()

    def test_its_gradient_is_that_of_the_level(self) -> None:
        """10 % more of everything is 0.83 dB more: the derivative by the logarithm of the amplitude is 20 / ln 10."""
        x = (0.1 * uneven()).requires_grad_()
        (slope,) = torch.autograd.grad(compat.loudness(x, RATE), x)
        assert (slope * x).sum().item() == pytest.approx(20 / math.log(10), rel=1e-9)


class TestErrors:
    @pytest.mark.parametrize("shape", [(RATE,), (6, RATE), (2, 6, RATE)])
    def test_channels(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(errors.ShapeError, match=r"\(\.\.\., channels, time\), with up to 5"):
            compat.loudness(torch.zeros(shape), RATE)

    def test_less_than_a_block(self) -> None:
        with pytest.raises(errors.ShapeError, match=r"19199 samples.*blocks of 0\.4 s.*19200"):
            compat.loudness(torch.zeros(1, 19199), RATE)
        assert compat.loudness(tone(0.4)[None], RATE).isfinite()
