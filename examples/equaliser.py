"""Fit a parametric equaliser to a headphone by gradient, so that what is heard has the response that is wanted.

The headphone is made up, with what measured ones have: a fall below the bass, resonances of the ear and of the cup,
narrow dips, ripple. The wanted response rises in the bass and falls in the treble. Frequencies, Qs and gains of ten
bands are trained, by the error in decibels on a logarithmic grid of frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from multirec import RecurrenceBank, analysis, nn

SAMPLE_RATE = 48_000
HERTZ = np.geomspace(20, 20_000, 300)


def bump(centre: float, octaves: float, gain: float) -> np.ndarray:
    """Return a bell over HERTZ, in dB; `octaves` is its standard deviation."""
    return gain * np.exp(-0.5 * (np.log2(HERTZ / centre) / octaves) ** 2)


def measured() -> np.ndarray:
    """Return the response of the headphone at HERTZ, in dB."""
    bass = -6 / (1 + (HERTZ / 45) ** 2) + bump(160, 0.9, 3.5)
    ear = bump(2_900, 0.45, 7) + bump(900, 0.6, -2.5)
    cup = bump(5_200, 0.16, -6) + bump(8_300, 0.2, 6) + bump(14_000, 0.3, -4)
    ripple = 0.25 * np.sin(2 * np.pi * 1.7 * np.log2(HERTZ / 20))
    return bass + ear + cup + ripple


def wanted() -> np.ndarray:
    """Return the response that is to be heard at HERTZ, in dB."""
    return 5 / (1 + (HERTZ / 110) ** 2) + bump(3_000, 0.7, 5) - 3 / (1 + (9_000 / HERTZ) ** 2)


def train(steps: int, bands: int = 10) -> Iterator[tuple[float, nn.ParametricEQ]]:
    """Yield, after each step, the error before it, in dB (root mean square), and the equaliser."""
    eq = nn.ParametricEQ(bands, SAMPLE_RATE, f_min=60.0, f_max=12_000.0, q=1.0)
    missing = torch.from_numpy(wanted() - measured())
    optimizer = torch.optim.Adam(eq.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        _, response = analysis.frequency_response(eq, HERTZ, sample_rate=SAMPLE_RATE)
        loss = (20 * torch.log10(response.abs()) - missing).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield loss.item() ** 0.5, eq


def gain_of(eq: nn.ParametricEQ) -> np.ndarray:
    """Return the gain of the equaliser at HERTZ, in dB."""
    with torch.no_grad():
        _, response = analysis.frequency_response(eq, HERTZ, sample_rate=SAMPLE_RATE)
    return 20 * np.log10(np.abs(response[0].numpy()))


def gains_of_bands(eq: nn.ParametricEQ) -> np.ndarray:
    """Return the gain of each band by itself at HERTZ, (S, F), in dB."""
    bands = RecurrenceBank.from_sos(eq.sos()[0][:, None])
    _, response = analysis.frequency_response(bands, HERTZ, sample_rate=SAMPLE_RATE)
    return 20 * np.log10(np.abs(response))


def picture(before: nn.ParametricEQ, after: nn.ParametricEQ, figure: Any) -> None:
    """Draw onto matplotlib's figure what is heard without and with the equaliser, and what each band does."""
    from matplotlib import colormaps

    heard, single = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    ink = heard.xaxis.label.get_color()
    heard.semilogx(HERTZ, wanted(), color=ink, linestyle=(0, (4, 3)), linewidth=1.0, label="wanted")
    for eq, place, name in ((before, 0.75, "headphone"), (after, 0.4, "with the equaliser")):
        heard.plot(HERTZ, measured() + gain_of(eq), color=colormaps["viridis"](place), linewidth=1.6, label=name)
    heard.set(ylabel="level, dB")
    heard.legend(frameon=False, loc="lower left", ncols=3)
    heard.set_ylim(bottom=heard.get_ylim()[0] - 3)

    bands = gains_of_bands(after)
    for number, gain in enumerate(bands):
        single.plot(HERTZ, gain, color=colormaps["viridis"](0.3 + 0.6 * number / (len(bands) - 1)), linewidth=1.0)
    single.plot(HERTZ, gain_of(after), color=ink, linewidth=1.4, label="the equaliser, and its bands")
    single.legend(frameon=False, loc="lower left")
    single.set(xlabel="frequency, Hz", ylabel="gain, dB", xlim=(HERTZ[0], HERTZ[-1]))
    ticks = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
    single.set_xticks(ticks, labels=[f"{hertz // 1000}k" if hertz >= 1000 else str(hertz) for hertz in ticks])
    single.minorticks_off()


def main(steps: int = 150, plot: str | None = None) -> tuple[float, float]:
    """Train, and return the error before and after, in dB (root mean square); draw into a file if there is one."""
    console = Console(stderr=True)
    done = list(track(train(steps), "fitting", steps, console=console, transient=True))
    errors, eq = [error for error, _ in done], done[-1][1]
    title = f"error: {errors[0]:.2f} dB, then {errors[-1]:.2f} dB"
    table = Table("band", "frequency, Hz", "Q", "gain, dB", title=title)
    rows = (part[0].tolist() for part in (eq.frequencies, eq.q, eq.gains))
    for kind, frequency, q, gain in zip(eq.kinds, *rows, strict=True):
        table.add_row(kind, f"{frequency:.0f}", f"{q:.2f}", f"{gain:+.1f}")
    Console().print(table)
    if plot is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.4, 5.2), layout="constrained")
        picture(nn.ParametricEQ(len(eq.kinds), SAMPLE_RATE), eq, figure)
        figure.savefig(plot)
    return errors[0], errors[-1]


@click.command()
@click.option("--steps", default=150, show_default=True, help="Steps of the fit; 40 are a short form.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw into this file; needs matplotlib.")
def command(steps: int, plot: str | None) -> None:
    """Fit a parametric equaliser to a headphone by gradient."""
    main(steps, plot)


if __name__ == "__main__":
    command()
