"""Draw the pictures of README and docs, each for light and for dark pages: `python docs/draw.py`.

Those of measurements are drawn by `multirec bench plot` from saved runs; the others are computed here.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from scipy import signal

from multirec import RecurrenceBank, nn, plot

DOCS = Path(__file__).parent
PICTURES = DOCS / "pictures"
RESULTS = DOCS.parent / "bench" / "results"
EXAMPLES = DOCS.parent / "examples"
sys.path[:0] = [str(EXAMPLES), str(DOCS.parent / "bench")]
import equaliser as equaliser_example  # noqa: E402
import front_end as front_end_example  # noqa: E402
import mesh_cost as simulated  # noqa: E402
from train_filter_bank import PITCHES, SAMPLE_RATE, train  # noqa: E402


class Theme(NamedTuple):
    """What a page's readers see: ink, faint lines, paper."""

    name: str
    ink: str
    faint: str
    paper: str
    colours: str


THEMES = (
    Theme("light", "#1f2328", "#d5d9de", "#ffffff", "viridis_r"),
    Theme("dark", "#e6e8eb", "#3a4048", "#16191d", "viridis"),
)


def settings(theme: Theme) -> dict[str, Any]:
    """Return matplotlib's settings for a theme; `svg.hashsalt` makes the same picture the same file."""
    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    papers = ("axes.facecolor", "figure.facecolor", "savefig.facecolor")
    return {
        **dict.fromkeys(inks, theme.ink),
        **dict.fromkeys(papers, theme.paper),
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 8.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "multirec",
    }


def hertz_axis(axis: Any) -> None:
    """Write frequencies as numbers, not as powers of ten."""
    axis.set_major_formatter(FuncFormatter(lambda hertz, _: f"{hertz:.0f}"))
    axis.set_minor_formatter(NullFormatter())


def colour(theme: Theme, share: float) -> Any:
    """Return a colour of the theme's scale, without the end that is close to the paper."""
    return matplotlib.colormaps[theme.colours](0.2 + 0.8 * share)


def bank(theme: Theme) -> Figure:
    """Draw the frequency responses of a bank of band-pass filters."""
    figure = Figure(figsize=(7.4, 3.2), layout="constrained")
    axes = figure.subplots()
    filters = nn.BandpassBank(16, SAMPLE_RATE, centres="mel", f_min=100.0)
    for number, (b, a) in enumerate(zip(*filters.ba(), strict=True)):
        hertz, response = signal.freqz(b, a, np.geomspace(50, 7900, 400), fs=SAMPLE_RATE)
        axes.semilogx(hertz, 20 * np.log10(np.abs(response)), color=colour(theme, number / 15), linewidth=1.2)
    hertz_axis(axes.xaxis)
    axes.set(ylim=(-30, 1), xlim=(50, 7900), xlabel="frequency, Hz", ylabel="gain, dB")
    return figure


def training(theme: Theme) -> Figure:
    """Draw the loss of examples/train_filter_bank.py and how its centre frequencies move."""
    torch.manual_seed(0)
    losses, centres, widths = [], [], []
    for loss, filters, gains in train(150):
        losses.append(loss)
        centres.append(filters.centres.tolist())
        widths = [0.8 + 2.2 * abs(gain) for gain in gains.tolist()]
    figure = Figure(figsize=(7.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.semilogy(losses, color=colour(theme, 0.5), linewidth=1.4)
    left.set(xlabel="step", ylabel="loss, share of the target's power")
    for number, (path, width) in enumerate(zip(np.transpose(centres), widths, strict=True)):
        right.semilogy(path, color=colour(theme, number / 7), linewidth=width)
    for pitch in PITCHES:
        right.axhline(pitch, color=theme.ink, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    hertz_axis(right.yaxis)
    right.set(xlabel="step", ylabel="centre frequency, Hz", yticks=[500, 1000, 2000, 4000])
    return figure


def equaliser(_: Theme) -> Figure:
    """Draw what examples/equaliser.py fits."""
    *_, (_, eq) = equaliser_example.train(150)
    figure = Figure(figsize=(7.4, 5.2), layout="constrained")
    equaliser_example.picture(nn.ParametricEQ(len(eq.kinds), equaliser_example.SAMPLE_RATE), eq, figure)
    return figure


def front_end() -> Callable[[Theme], Figure]:
    """Run examples/front_end.py, and return what draws its results."""
    found = front_end_example.run(300, 2000, 1)

    def draw(_: Theme) -> Figure:
        figure = Figure(figsize=(7.4, 3.4), layout="constrained")
        front_end_example.picture(found, figure)
        return figure

    return draw


DASHES = {"nn.RNN": ":", "nn.GRU": "--", "nn.LSTM": "-."}
"""How lines of torch's units are drawn."""


def language_models(theme: Theme) -> Figure:
    """Draw the losses of the saved run of examples/language_model/compare.py over the time that they took."""
    found = json.loads((EXAMPLES / "language_model" / "results.json").read_text(encoding="utf-8"))
    units = found["units"]
    figure = Figure(figsize=(7.4, 3.6), layout="constrained")
    axes = figure.subplots()
    order = sorted(units, key=lambda name: units[name]["points"][-1][1])
    for number, name in enumerate(order):
        steps, losses = np.transpose(units[name]["points"])
        ours = colour(theme, (number + 1) / len(order)), "-"
        ink, dashes = (theme.ink, DASHES[name]) if name in DASHES else ours
        style = {"color": ink, "linestyle": dashes, "linewidth": 1.3}
        style |= {"marker": "o", "markevery": [-1], "markersize": 3.5, "label": f"{name}  {losses[-1]:.2f}"}
        axes.plot(steps * found["step_seconds"][name], losses, **style)
    axes.set(xlabel="seconds of training, one thread", ylabel="loss on unseen text, nats a character", xlim=(0, None))
    axes.legend(frameon=False, fontsize=7.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def mesh_cost(theme: Theme) -> Figure:
    """Draw what bench/mesh_cost.py simulates: how many times as fast as one device are several."""
    machine, lengths = simulated.Machine(), 2 ** np.arange(12, 31)
    figure = Figure(figsize=(7.4, 3.4), layout="constrained")
    for axes, work in zip(figure.subplots(1, 2, sharey=True), simulated.WORKS, strict=False):
        for number, devices in enumerate(simulated.DEVICES):
            for form, dashes in zip(simulated.FORMS, ("-", ":"), strict=True):
                taken = [simulated.cut(work, int(length), devices, machine, form) for length in lengths]
                gain = [simulated.whole(work, int(length), machine) for length in lengths] / np.array(taken)
                style = {"color": colour(theme, number / 3), "linestyle": dashes, "linewidth": 1.3}
                axes.loglog(lengths, gain, base=2, label=f"D = {devices}, {form}", **style)
        axes.axhline(1, color=theme.ink, linewidth=0.8, zorder=0)
        axes.set(title=work.name, xlabel="samples of the whole sequence", ylim=(2**-6, 2**10))
    figure.axes[0].set_ylabel("times as fast as one device, simulated")
    axes.legend(frameon=False, fontsize=6.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def four_views(filters: Any, sample_rate: float) -> Figure:
    """Draw gain, group delay, poles and zeros, and impulse responses."""
    figure = Figure(figsize=(7.4, 6.0), layout="constrained")
    views = (plot.magnitude, plot.group_delay, plot.pole_zero, plot.impulse)
    for axes, view in zip(figure.subplots(2, 2).flat, views, strict=True):
        view(filters, sample_rate=sample_rate, ax=axes)
    return figure


def one_filter(_: Theme) -> Figure:
    """Draw a band-pass of eight poles."""
    sos = signal.butter(4, [200, 2000], "bandpass", fs=48_000, output="sos")
    return four_views(RecurrenceBank.from_sos(sos), 48_000)


def sixteen_filters(_: Theme) -> Figure:
    """Draw the bank of `bank`."""
    return four_views(nn.BandpassBank(16, SAMPLE_RATE, centres="mel", f_min=100.0), SAMPLE_RATE)


def many_filters(_: Theme) -> Figure:
    """Draw a bank of 128."""
    return four_views(nn.BandpassBank(128, SAMPLE_RATE, centres="mel", f_min=40.0), SAMPLE_RATE)


def drawn(name: str, draw: Callable[[Theme], Figure]) -> None:
    """Save a picture for each theme."""
    for theme in THEMES:
        with matplotlib.rc_context(settings(theme)):
            draw(theme).savefig(PICTURES / f"{name}-{theme.name}.svg", dpi=100, metadata={"Date": None})


def plotted(name: str, results: Path) -> None:
    """Save the figure of times in the report that `multirec bench plot` makes of a run: it has both themes."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        command = [sys.executable, "-m", "multirec", "bench", "plot", str(results), "-o", str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        text = report.read_text(encoding="utf-8")
    first = text[text.index("<picture>") :]
    images = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", first)
    for theme, image in zip(("dark", "light"), images, strict=False):
        (PICTURES / f"{name}-{theme}.svg").write_bytes(base64.b64decode(image))


def sweep(channels: int, order: int) -> None:
    """Plot the cases of the sweep that have so many channels and this order."""
    document = json.loads((RESULTS / "sweep-epyc-2-cores.json").read_text())
    wanted = [case["channels"] == channels and case["order"] == order for case in document["cases"]]
    document["cells"] = [cell for cell in document["cells"] if wanted[cell["case"]]]
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.json"
        part.write_text(json.dumps(document))
        plotted("sweep", part)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    drawn("bank", bank)
    drawn("training", training)
    drawn("equaliser", equaliser)
    drawn("front-end", front_end())
    drawn("language-models", language_models)
    drawn("mesh-cost", mesh_cost)
    drawn("plot-1", one_filter)
    drawn("plot-16", sixteen_filters)
    drawn("plot-128", many_filters)
    plotted("speed", RESULTS / "biquads-epyc-2-cores.json")
    sweep(channels=1000, order=4)
