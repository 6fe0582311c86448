"""What pictures of filters hold: lines, maps, labels and limits."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import signal

import multirec as mr
from multirec import analysis, nn
from multirec.errors import ArgumentError, LibraryMissingError, ShapeError

matplotlib = pytest.importorskip("matplotlib", reason="the extra plot is not installed")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from multirec import plot  # noqa: E402

RATE = 16000
ONE = mr.RecurrenceBank.from_sos(signal.butter(4, [200, 2000], "bandpass", fs=RATE, output="sos"))
FEW = nn.BandpassBank(16, RATE, centres="mel", f_min=100.0)
MANY = nn.BandpassBank(128, RATE, centres="mel")
VIEWS = [plot.magnitude, plot.phase, plot.group_delay, plot.pole_zero, plot.impulse]
views = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    pyplot.close("all")


def axes():
    return Figure(layout="constrained").subplots()


def mesh_of(ax):
    (found,) = ax.collections
    return found.get_array().reshape(len(found.get_coordinates()) - 1, -1)


def texts(ax):
    return [text.get_text() for text in ax.texts]


@views
@pytest.mark.parametrize("bank", [ONE, FEW, MANY], ids=["1", "16", "128"])
def test_a_view_draws_on_the_axes_it_is_given_and_shows_nothing(view, bank, monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_: pytest.fail("shown"))
    ax = axes()
    assert view(bank, sample_rate=RATE, ax=ax) is ax
    assert not pyplot.get_fignums()
    ax.figure.draw_without_rendering()


@views
def test_without_axes_there_is_one_new_figure(view):
    ax = view(ONE)
    assert pyplot.get_fignums() == [ax.figure.number]


def test_the_gain_of_one_filter_is_a_line_in_the_next_colour():
    ax = axes()
    plot.magnitude(ONE, sample_rate=RATE, labels="band-pass", ax=ax)
    (line,) = ax.lines
    assert line.get_label() == "band-pass"
    assert matplotlib.colors.same_color(line.get_color(), "C0")
    hertz, gain = line.get_data()
    expected = abs(analysis.frequency_response(ONE, hertz, sample_rate=RATE)[1][0])
    seen = expected > 1e-3
    np.testing.assert_allclose(gain[seen], 20 * np.log10(expected[seen]), atol=1e-9)
    assert hertz[0] == pytest.approx(RATE / 2400)
    assert hertz[-1] == RATE / 2
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "frequency, Hz", "gain, dB")
    low, high = ax.get_ylim()
    assert low == pytest.approx(-80, abs=1e-6)
    assert 0 < high < 5


def test_two_banks_on_the_same_axes():
    ax = axes()
    loud = mr.RecurrenceBank(feedforward=np.array([[10.0]]))
    plot.magnitude(loud, labels="loud", ax=ax)
    plot.magnitude(mr.RecurrenceBank(feedforward=np.array([[0.1]])), labels="soft", ax=ax)
    assert [line.get_label() for line in ax.lines] == ["loud", "soft"]
    assert matplotlib.colors.same_color([line.get_color() for line in ax.lines], ["C0", "C1"])
    low, high = ax.get_ylim()
    assert low < -20
    assert high > 20


def test_the_dynamic_range_is_below_the_largest_gain():
    ax = plot.magnitude(ONE, dynamic_range=40, ax=axes())
    assert ax.get_ylim()[0] == pytest.approx(-40, abs=1e-6)
    assert mesh_of(plot.magnitude(MANY, dynamic_range=40, ax=axes())).min() == -40


def test_a_filter_that_gives_nothing_is_drawn():
    ax = plot.magnitude(mr.RecurrenceBank(feedforward=np.zeros((1, 2))), ax=axes())
    assert np.isfinite(ax.get_ylim()).all()
    assert np.isfinite(ax.lines[0].get_ydata()).all()


@views
@pytest.mark.parametrize("rate", [None, RATE])
def test_a_filter_that_is_not_finite_is_drawn(view, rate):
    ax = view(mr.RecurrenceBank(feedforward=np.array([[np.nan, 1.0]])), sample_rate=rate)
    ax.figure.canvas.draw()
    if view not in (plot.pole_zero, plot.impulse):
        assert ax.get_xlim()[1] == pytest.approx(np.pi if rate is None else rate / 2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bank", [FEW, MANY], ids=["16", "128"])
def test_one_place_is_drawn_and_none_is_an_error(bank):
    for view in VIEWS[:3]:
        view(bank, frequencies=[100.0], sample_rate=RATE, ax=axes()).figure.draw_without_rendering()
        for nowhere in ([], [-100.0, 0.0]):
            with pytest.raises(ArgumentError, match="none is above 0 Hz"):
                view(bank, frequencies=nowhere, sample_rate=RATE)
    plot.impulse(bank, length=1, ax=axes()).figure.draw_without_rendering()
    with pytest.raises(ArgumentError, match="length is a whole number of at least 1, got 0"):
        plot.impulse(bank, length=0)


def test_a_narrow_peak_is_not_missed():
    narrow = nn.BandpassBank(1, RATE, centres=[1234.5], bandwidths=0.01, dtype=torch.float64)
    for rate, at in ((RATE, 1234.5), (None, 1234.5 * 2 * np.pi / RATE)):
        x, gain = plot.magnitude(narrow, sample_rate=rate, ax=axes()).lines[0].get_data()
        assert gain.max() == pytest.approx(0, abs=1e-3)
        assert x[gain.argmax()] == pytest.approx(at, rel=1e-6)


def test_few_filters_are_lines_in_a_scale_of_colours_with_a_key():
    ax = plot.magnitude(FEW, sample_rate=RATE, ax=axes())
    assert len(ax.lines) == 16
    colours = np.array([line.get_color() for line in ax.lines])
    assert len(np.unique(colours, axis=0)) == 16
    key = ax.figure.axes[1]
    assert key.get_ylabel() == "filter"
    np.testing.assert_array_equal(key.get_yticks(), range(16))
    peaks = [line.get_xdata()[line.get_ydata().argmax()] for line in ax.lines]
    np.testing.assert_allclose(peaks, FEW.centres.numpy(force=True), rtol=0.01)


def test_names_are_in_the_key_and_at_the_rows():
    three = nn.BandpassBank(3, RATE)
    for view in (plot.magnitude, plot.phase, plot.group_delay, plot.pole_zero):
        key = view(three, labels=["low", "middle", "high"], ax=axes()).figure.axes[1]
        assert [tick.get_text() for tick in key.get_yticklabels()] == ["low", "middle", "high"]
    ax = plot.impulse(three, labels=["low", "middle", "high"], ax=axes())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["low", "middle", "high"]
    ax = plot.magnitude(MANY, labels=range(128), ax=axes())
    named = dict(zip(ax.get_yticks(), (tick.get_text() for tick in ax.get_yticklabels()), strict=True))
    assert named[0] == "0"
    assert named[127] == "127"
    assert len(named) < 12


def luminance(colour):
    return np.dot(matplotlib.colors.to_rgb(colour), (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize(("style", "paper"), [("default", 1.0), ("dark_background", 0.0)])
def test_colours_stand_out_from_light_and_dark_paper(style, paper):
    with pyplot.style.context(style):
        lines = [line.get_color() for line in plot.magnitude(FEW, ax=axes()).lines]
        assert min(abs(luminance(colour) - paper) for colour in lines) > 0.2
        mesh = plot.magnitude(MANY, ax=axes()).collections[0]
        assert abs(luminance(mesh.cmap(0.0)) - paper) < abs(luminance(mesh.cmap(1.0)) - paper)
        ax = plot.pole_zero(ONE, ax=axes())
        assert abs(luminance(ax.patches[1].get_edgecolor()) - paper) > 0.9


def test_the_gain_of_many_filters_is_a_map_with_a_row_each():
    ax = plot.magnitude(MANY, sample_rate=RATE, ax=axes())
    assert not ax.lines
    rows = mesh_of(ax)
    assert len(rows) == 128
    (mesh,) = ax.collections
    assert mesh.get_clim() == (-60, 0)
    assert mesh.get_rasterized()
    assert rows.min() == -60
    # ridges go up with the centres
    assert (np.diff(rows.argmax(-1)) >= 0).all()
    assert (ax.get_ylabel(), ax.figure.axes[1].get_ylabel()) == ("filter", "gain, dB")
    assert ax.get_ylim() == (-0.5, 127.5)


def test_a_map_ends_at_a_round_gain():
    for gain, top in ((1.0, 0), (1.0001, 0), (2.0, 7)):
        bank = mr.RecurrenceBank(feedforward=np.full((20, 1), gain))
        assert plot.magnitude(bank, ax=axes()).collections[0].get_clim() == (top - 60, top)


def test_frequencies_may_be_given():
    ax = plot.magnitude(ONE, sample_rate=RATE, frequencies=[0.0, 100.0, 1000.0], ax=axes())
    # 0 Hz has no place on a logarithmic axis
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [100, 1000])
    ax = plot.magnitude(ONE, frequencies=5, ax=axes())
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.arange(5) * np.pi / 5)
    written = ax.xaxis.get_major_formatter()
    assert [written(place * np.pi / 4) for place in range(5)] == ["0", "π/4", "π/2", "3π/4", "π"]


def test_frequencies_are_written_as_they_are_said():
    wide = Figure(figsize=(6, 4)).subplots()
    plot.magnitude(ONE, sample_rate=RATE, ax=wide)
    low, high = wide.get_xlim()
    ticks = [tick for tick in wide.get_xticks() if low <= tick <= high]
    np.testing.assert_allclose(ticks, [10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
    assert [wide.xaxis.get_major_formatter()(tick) for tick in ticks[-3:]] == ["1k", "2k", "5k"]
    band = np.linspace(900, 1100, 9)
    plot.magnitude(ONE, sample_rate=RATE, frequencies=band, ax=wide)
    assert 500 in wide.get_xticks()
    narrow = plot.magnitude(ONE, sample_rate=RATE, frequencies=band, ax=axes())
    assert sum(900 <= tick <= 1100 for tick in narrow.get_xticks()) > 3


def test_phase_is_unwrapped_however_far_it_turns_between_frequencies():
    delay = mr.RecurrenceBank(feedforward=np.eye(1, 1001, 1000))
    x, degrees = plot.phase(delay, frequencies=50, ax=axes()).lines[0].get_data()
    np.testing.assert_allclose(degrees, np.degrees(-1000 * x), atol=1e-6)


def test_phase_of_many_is_within_half_a_turn():
    rows = mesh_of(plot.phase(MANY, ax=axes()))
    assert abs(rows).max() <= 180


def test_group_delay_is_in_samples_or_milliseconds():
    delay = mr.RecurrenceBank(feedforward=np.eye(1, 9, 8))
    ax = plot.group_delay(delay, ax=axes())
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 8)
    assert ax.get_ylabel() == "group delay, samples"
    ax = plot.group_delay(delay, sample_rate=RATE, ax=axes())
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 0.5)
    assert ax.get_ylabel() == "group delay, ms"


def test_group_delays_of_many_may_be_below_zero():
    assert isinstance(plot.group_delay(MANY, ax=axes()).collections[0].norm, matplotlib.colors.LogNorm)
    backwards = nn.BandpassBank(128, RATE, reverse=True)
    norm = plot.group_delay(backwards, ax=axes()).collections[0].norm
    assert norm.vmin < norm.vmax <= 0


def marked(ax, marker):
    found = [line.get_data() for line in ax.lines if line.get_marker() == marker]
    return np.concatenate([x + 1j * y for x, y in found])


def test_poles_zeros_and_the_circle():
    ax = plot.pole_zero(ONE, ax=axes())
    np.testing.assert_array_equal(marked(ax, "x"), analysis.poles(ONE)[0])
    np.testing.assert_array_equal(marked(ax, "o"), analysis.zeros(ONE)[0])
    assert ax.get_aspect() == 1
    assert [patch.get_radius() for patch in ax.patches] == [1, 1]
    margin = analysis.stability_margin(ONE)[0]
    # four zeros at 1 and four at -1
    assert texts(ax) == ["0", "π/4", "π/2", "3π/4", "π", "4", "4", f"stable, margin {margin:.2g}"]
    assert "6 kHz" in texts(plot.pole_zero(ONE, sample_rate=RATE, ax=axes()))


def test_unstable_filters_are_seen():
    bank = mr.RecurrenceBank.from_ba([[1, 0.5], [1, -3], [1, 0]], [[1, -1.9, 0.95], [1, -2.1, 1.15], [1, 0, -1]])
    ax = plot.pole_zero(bank, ax=axes())
    poles = analysis.poles(bank)
    np.testing.assert_array_equal(marked(ax, "x"), poles[0])
    np.testing.assert_array_equal(marked(ax, "X"), poles[1:].ravel())
    assert texts(ax)[-1] == "2 of 3 unstable\n1 zero beyond radius 2"
    assert min(ax.get_xlim()[1], ax.get_ylim()[1]) > abs(poles).max()
    assert texts(plot.pole_zero(mr.RecurrenceBank(feedback=np.array([[2.0]])), ax=axes()))[-1] == "unstable"
    assert texts(plot.pole_zero(MANY, ax=axes()))[-1].startswith("all 128 stable, least margin ")


def test_zeros_at_infinity_are_counted():
    ax = plot.pole_zero(mr.RecurrenceBank(feedforward=np.array([[0.0, 1.0]])), ax=axes())
    assert texts(ax)[-1] == "stable, margin 1\n1 zero beyond radius 2"


def test_the_impulse_response_of_one_filter_has_stems_while_they_are_few():
    short = mr.RecurrenceBank(feedforward=np.array([[1.0, 2.0, 3.0]]))
    ax = plot.impulse(short, length=5, labels="taps", ax=axes())
    np.testing.assert_array_equal(ax.lines[0].get_data(), [range(5), [1, 2, 3, 0, 0]])
    assert ax.lines[0].get_label() == "taps"
    assert len(ax.collections[0].get_segments()) == 5
    ax = plot.impulse(ONE, sample_rate=RATE, length=200, ax=axes())
    time, response = ax.lines[0].get_data()
    np.testing.assert_allclose(time, np.arange(200) / 16)
    np.testing.assert_array_equal(response, analysis.impulse_response(ONE, 200)[0])
    assert ax.get_xlabel() == "time, ms"
    assert not ax.collections


def test_a_response_is_drawn_until_it_has_decayed():
    slow = mr.RecurrenceBank(feedback=np.array([[0.98]]))
    response = plot.impulse(slow, ax=axes()).lines[0].get_ydata()
    assert response[-1] == pytest.approx(0.01, rel=0.05)
    long = mr.RecurrenceBank(feedforward=np.ones((1, 400)))
    assert len(plot.impulse(long, ax=axes()).lines[0].get_ydata()) > 400
    assert len(plot.impulse(mr.RecurrenceBank(feedback=np.array([[1.0]])), ax=axes()).lines[0].get_ydata()) == 32
    endless = mr.RecurrenceBank(feedback=np.array([[1 - 1e-9]]))
    assert len(plot.impulse(endless, ax=axes()).lines[0].get_ydata()) == 2000


def test_the_impulse_responses_of_few_filters_stand_above_each_other():
    ax = plot.impulse(FEW, length=100, ax=axes())
    rows = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 100]
    response = analysis.impulse_response(FEW, 100).numpy(force=True)
    for number, (row, own) in enumerate(zip(rows, response, strict=True)):
        np.testing.assert_allclose(row, number + 0.48 * own / abs(own).max())


def test_the_map_of_impulse_responses_falls():
    rows = mesh_of(plot.impulse(MANY, length=900, ax=axes()))
    assert rows.shape == (128, 450)
    assert (rows[:, 0] == 0).all()
    assert (np.diff(rows, axis=-1) <= 0).all()
    assert rows.min() == -60


def test_the_overview_has_four_views():
    figure = plot.overview(ONE, sample_rate=RATE, labels="band-pass")
    assert [ax.get_ylabel() for ax in figure.axes] == ["gain, dB", "group delay, ms", "imaginary", "impulse response"]
    assert pyplot.get_fignums() == [figure.number]


def test_filters_of_a_batch_come_one_after_the_other():
    bank = mr.RecurrenceBank(feedback=np.full((2, 3, 1), 0.5))
    for view in (plot.magnitude, plot.phase, plot.group_delay):
        assert len(view(bank, ax=axes()).lines) == 6
    assert len(marked(plot.pole_zero(bank, ax=axes()), "x")) == 6
    assert len(plot.impulse(bank, ax=axes()).get_yticks()) == 6


@pytest.mark.parametrize("view", [*VIEWS, plot.overview], ids=lambda view: view.__name__)
def test_bad_arguments_leave_no_figure(view):
    with pytest.raises(ShapeError, match="2 filters, and the bank has 16"):
        view(FEW, labels=["a", "b"])
    with pytest.raises(ArgumentError, match="sample_rate"):
        view(FEW, sample_rate=0)
    with pytest.raises(ArgumentError, match="RecurrenceBank"):
        view([1.0, 2.0])
    with pytest.raises(ShapeError, match="no filters"):
        view(mr.RecurrenceBank(feedforward=np.zeros((0, 2))))
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("view", [*VIEWS, plot.overview], ids=lambda view: view.__name__)
def test_without_matplotlib_the_error_names_the_line_that_installs_it(view, monkeypatch):
    monkeypatch.setattr("multirec.plot._canvas.find_spec", lambda name: None)
    with pytest.raises(LibraryMissingError, match=r"pip install 'multirec-bank\[plot\]'"):
        view(ONE)


def test_a_display_is_not_needed(tmp_path):
    code = (
        "import numpy as np, multirec as mr\nfrom multirec import plot\n"
        "bank = mr.RecurrenceBank(feedback=np.array([[0.5], [-0.5]]))\n"
        f"plot.overview(bank).savefig({str(tmp_path / 'out.png')!r})"
    )
    environment = {"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path), "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").stat().st_size > 1000
