"""`multirec.filterbanks`: SciPy's designs as sections, and the standard's class 1 mask."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal

from multirec import RecurrenceBank, filterbanks
from multirec import nn as mnn
from multirec.errors import ArgumentError, ShapeError
from multirec.filterbanks._butterworth import band_pass

G = 10**0.3


def polynomials(sos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (b, a) of a cascade's rows (S, 6), multiplied out in long double."""
    wide = sos.astype(np.longdouble)
    return reduce(np.convolve, wide[:, :3]), reduce(np.convolve, wide[:, 3:])


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_gammatone_filter_is_scipys(rate: int) -> None:
    sos, centres = filterbanks.gammatone(filterbanks.erb_centres(20, 50.0, 0.45 * rate), rate)
    assert sos.shape == (20, 4, 6)
    for rows, centre in zip(sos, centres, strict=True):
        b, a = signal.gammatone(centre, "iir", fs=rate)
        found = polynomials(rows)
        np.testing.assert_allclose(found[0][: len(b)], b, rtol=1e-7, atol=1e-9 * np.abs(b).max())
        assert not found[0][len(b) :].any()
        np.testing.assert_allclose(found[1], a, rtol=1e-12)


def test_gammatone_sections_have_gain_one_and_survive_float32() -> None:
    sos, centres = filterbanks.gammatone(filterbanks.erb_centres(32, 100.0, 7000.0), 16000)
    for rows, centre in zip(sos, centres, strict=True):
        for row in rows:
            assert abs(signal.freqz_sos(row[None], centre, fs=16000)[1]) == pytest.approx(1, rel=1e-10)
    x = np.random.default_rng(0).standard_normal((1, 2000)).astype("float32")
    y, _ = RecurrenceBank.from_sos(sos.astype("float32"))(x)
    want = np.stack([signal.sosfilt(rows, x[0].astype(float)) for rows in sos])
    assert np.abs(y - want).max() < 1e-4 * np.abs(want).max()


def test_erb_centres_are_equally_spaced_in_erbs() -> None:
    hertz = filterbanks.erb_centres(40, 80.0, 7600.0)
    np.testing.assert_allclose(hertz[[0, -1]], [80.0, 7600.0])
    steps = np.diff(21.4 * np.log10(1 + 0.00437 * hertz))
    np.testing.assert_allclose(steps, steps[0])
    # one ERB-number is one equivalent rectangular bandwidth, 24.7·(4.37·f/1000 + 1)
    assert 24.7 * (4.37 + 1) * steps[0] == pytest.approx(np.gradient(hertz)[np.abs(hertz - 1000).argmin()], rel=0.05)
    bank = mnn.BandpassBank(38, 16000, centres="erb", f_min=80.0, f_max=7600.0)
    np.testing.assert_allclose(bank.centres.tolist(), hertz[1:-1], rtol=1e-5)


def test_one_centre_is_in_the_middle() -> None:
    (middle,) = filterbanks.erb_centres(1, 80.0, 7600.0)
    assert middle == pytest.approx(filterbanks.erb_centres(3, 80.0, 7600.0)[1])
    assert mnn.ParametricEQ(1, 16000, frequencies="erb", f_min=80.0, f_max=7600.0).frequencies.item() == (
        pytest.approx(middle, rel=1e-5)
    )


@pytest.mark.filterwarnings("error")
def test_centres_may_be_a_tensor_and_are_copied() -> None:
    hertz = torch.tensor([100.0, 1000.0], dtype=torch.float64)
    bank = filterbanks.gammatone(hertz, 16000)
    hertz.zero_()
    np.testing.assert_array_equal(bank.centres, [100.0, 1000.0])


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 8])
def test_a_band_pass_is_scipys_butterworth(order: int) -> None:
    edges = np.array([[22.4, 28.2], [900.0, 1100.0], [50.0, 20000.0], [11220.0, 22387.0], [5000.0, 5001.0]])
    hertz = np.geomspace(5, 23999, 3000)
    for rows, pair in zip(band_pass(edges, 48000, order), edges, strict=True):
        want = signal.butter(order, pair, "bandpass", fs=48000, output="sos")
        at = np.r_[hertz, pair, np.sqrt(pair.prod())]
        found, expected = (signal.freqz_sos(each, at, fs=48000)[1] for each in (rows, want))
        assert np.abs(found - expected).max() < 1e-8
        np.testing.assert_allclose(np.abs(found[-3:-1]), math.sqrt(0.5), rtol=1e-6)
        # the same denominators, in whatever order
        ours, theirs = (np.sort_complex(np.concatenate([np.roots(row[3:]) for row in each])) for each in (rows, want))
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


def mask(ratio: np.ndarray, fraction: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest attenuation in dB at f/fm of a class 1 filter of 1/fraction of an octave.

    IEC 61260-1:2014, table 1, in powers of G, and its formulas for fractions of an octave and between the points.
    """
    high = np.maximum(ratio, 1 / ratio)
    as_octave = 1 + (high - 1) * (G**0.5 - 1) / (G ** (0.5 / fraction) - 1)
    power = np.log(as_octave) / np.log(G)
    most = np.where(power < 0.5, np.interp(power, [0, 1 / 8, 1 / 4, 3 / 8, 1 / 2], [0.4, 0.5, 0.7, 1.4, 5.3]), np.inf)
    least = np.where(power < 0.5, -0.4, np.interp(power, [0.5, 1, 2, 3, 4], [1.2, 16.6, 40.5, 60, 70]))
    return least, most


POINTS = np.array([0, 1 / 8, 1 / 4, 3 / 8, 0.4999, 0.5001, 1, 2, 3, 4])


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize(("fraction", "design"), [(1, filterbanks.octave), (3, filterbanks.third_octave)])
def test_every_band_is_of_class_1(rate: int, fraction: int, design: Any) -> None:
    bands = design(rate)
    high = 1 + (G**POINTS - 1) * (G ** (0.5 / fraction) - 1) / (G**0.5 - 1)
    ratio = np.sort(np.r_[high, 1 / high, np.geomspace(1 / high[-1], high[-1], 500)])
    least, most = mask(ratio, fraction)
    for rows, centre in zip(bands.sos, bands.centres, strict=True):
        inside = ratio * centre < rate / 2
        response = signal.freqz_sos(rows, np.r_[centre, ratio[inside] * centre], fs=rate)[1]
        with np.errstate(divide="ignore"):
            attenuation = -20 * np.log10(np.abs(response))
        # relative to that at the middle of the band
        attenuation = attenuation[1:] - attenuation[0]
        assert (attenuation >= least[inside]).all()
        assert (attenuation <= most[inside]).all()


def test_order_3_is_of_class_1_below_a_quarter_of_the_sample_rate() -> None:
    bands = filterbanks.third_octave(48000, order=3)
    assert bands.sos.shape[1] == 3
    # three band-widths below the middle, where the mask asks for most
    for rows, centre, (_, upper) in zip(bands.sos, bands.centres, bands.edges, strict=True):
        ratio = np.array([0.327])
        attenuation = -20 * np.log10(np.abs(signal.freqz_sos(rows, ratio * centre, fs=48000)[1]))
        assert (attenuation >= mask(ratio, 3)[0]).all() == (upper < 12000)


def test_bands_are_the_standards() -> None:
    bands = filterbanks.third_octave(48000)
    # ISO 266's names
    names = [25, 31.5, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000]
    names += [2500, 3150, 4000, 5000, 6300, 8000, 10000, 12500, 16000, 20000]
    np.testing.assert_allclose(bands.nominal, names)
    np.testing.assert_allclose(bands.centres, 1000 * 10 ** (np.arange(-16, 14) / 10))
    np.testing.assert_allclose(bands.edges[1:, 0], bands.edges[:-1, 1])
    octaves = filterbanks.octave(48000)
    np.testing.assert_allclose(octaves.nominal, [31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000])
    np.testing.assert_allclose(octaves.centres, bands.centres[1::3])
    np.testing.assert_allclose(octaves.edges, np.c_[bands.edges[::3, 0], bands.edges[2::3, 1]])
    for name in names:
        assert filterbanks.third_octave(48000, f_min=name, f_max=name).nominal == [name]
    assert filterbanks.third_octave(2 * 22387.3).nominal[-1] == 20000
    assert filterbanks.third_octave(2 * 22387.2).nominal[-1] == 16000
    assert len(filterbanks.third_octave(200000, f_max=80000).centres) == 36


def test_levels_of_a_tone() -> None:
    bands = filterbanks.third_octave(48000, f_min=400, f_max=2500)
    time = np.arange(48000) / 48000
    y, _ = RecurrenceBank.from_sos(bands.sos)(np.sin(2 * np.pi * 1000 * time)[None].astype("float32"))
    power = (y[:, 24000:].astype(float) ** 2).mean(-1)
    assert power.argmax() == list(bands.nominal).index(1000)
    assert power.max() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: filterbanks.gammatone([100.0, 9000.0], 16000), ArgumentError, "centres is .* 8000 Hz, got 9000"),
        (lambda: filterbanks.gammatone([100.0, math.nan], 16000), ArgumentError, "got nan"),
        (lambda: filterbanks.gammatone(1000.0, 16000), ShapeError, r"one axis, got shape \(\)"),
        (lambda: filterbanks.gammatone([], 16000), ShapeError, r"got shape \(0,\)"),
        (lambda: filterbanks.gammatone([100.0], 0), ArgumentError, "sample_rate is above 0 Hz, got 0"),
        (lambda: filterbanks.erb_centres(4, 100.0, 50.0), ArgumentError, "f_min is above 0 Hz and below f_max"),
        (lambda: filterbanks.erb_centres(0, 100.0, 500.0), ArgumentError, "count is a whole number of at least 1"),
        (lambda: filterbanks.octave(16000, f_max=8000.0 - 1), ArgumentError, "the last one ends at 11220.2 Hz"),
        (lambda: filterbanks.octave(16000, f_max=20000.0), ArgumentError, "f_max is above 0 Hz and below half"),
        (lambda: filterbanks.octave(16000, f_min=0), ArgumentError, "f_min is above 0 Hz"),
        (
            lambda: filterbanks.octave(16000, f_min=500, f_max=100),
            ArgumentError,
            "there is none. Change f_min or f_max",
        ),
        (lambda: filterbanks.third_octave(16000, order=0), ArgumentError, "order is a whole number .* got 0"),
        (lambda: filterbanks.third_octave(16000, order=2.5), ArgumentError, "got 2.5"),
        (lambda: filterbanks.third_octave(40), ArgumentError, "f_min is above 0 Hz and below half the sample rate, 20"),
    ],
)
def test_errors(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
