"""A learnable front end of band-pass filters: it finds the filters of another bank, and tells vowels apart.

In the first part a bank is known by its outputs alone, and `BandpassBank` finds its centres and bandwidths by gradient.
In the second part vowels are synthesised, with voices, pitches and noise of all kinds, and the same small classifier
hears them by the powers in a few bands: of a mel filter bank, of band-pass filters that stay where they are, and of
band-pass filters that learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from multirec import analysis, biquads, nn, signal

SAMPLE_RATE = 8_000
CENTRES = np.array([150.0, 350.0, 800.0, 1350.0, 2100.0, 3000.0])
BANDWIDTHS = np.array([60.0, 90.0, 70.0, 200.0, 120.0, 300.0])


EDGES = (100.0, 3800.0)
"""Where the bands of both front ends for vowels begin and end, in Hz."""
BANDS = 8
VOWELS = {
    "i": (270, 2290, 3010),
    "ɛ": (530, 1840, 2480),
    "ɑ": (730, 1090, 2440),
    "u": (300, 870, 2240),
    "ʌ": (640, 1190, 2390),
}
"""The first three formants in Hz of men's vowels: means that Peterson and Barney measured in 1952."""


def recover(steps: int) -> Iterator[tuple[float, nn.BandpassBank]]:
    """Yield, after each step, the error before it, as a share of the outputs' power, and the bank that learns."""
    noise = torch.randn(2, 2000)
    with torch.no_grad():
        known, _ = nn.BandpassBank(len(CENTRES), SAMPLE_RATE, centres=CENTRES, bandwidths=BANDWIDTHS)(noise)
    power = known.square().mean((0, 2), keepdim=True)
    bank = nn.BandpassBank(len(CENTRES), SAMPLE_RATE, centres="mel", f_min=100.0, f_max=3000.0)
    optimizer = torch.optim.Adam(bank.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        y, _ = bank(noise)
        loss = ((y - known).square() / power).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield loss.item(), bank


def speak(count: int) -> tuple[Tensor, Tensor]:
    """Return vowels (N, T) of a fifth of a second, each by another voice in other noise, and which they are (N,)."""
    length = SAMPLE_RATE // 5
    which = torch.randint(len(VOWELS), (count,))
    # the length of the throat moves all formants, the speaker and the word move each
    throat = torch.empty(count, 1).uniform_(0.95, 1.3)
    formants = torch.tensor(list(VOWELS.values()))[which] * throat * torch.randn(count, 3).mul(0.06).exp()
    pitch = torch.empty(count, 1).uniform_(80, 280) * torch.linspace(0, 0.3, length).mul(torch.randn(count, 1)).exp()
    periods = torch.cumsum(pitch / SAMPLE_RATE, 1) + torch.rand(count, 1)
    pulses = periods.floor().diff(dim=1, prepend=periods[:, :1].floor())
    source = pulses + 0.02 * torch.randn(count, length)
    # a voice has less power at high frequencies, and formants are resonances in turn
    tilt = torch.empty(count, 1).uniform_(0.6, 0.95)
    zero = torch.zeros_like(tilt)
    voice = torch.cat([1 - tilt, zero, zero, zero + 1, -tilt, zero], 1)
    widths = 50 + 0.05 * formants
    sections = biquads.equaliser(["low_pass"] * 3, formants, formants / widths, 0.0, sample_rate=SAMPLE_RATE)
    spoken = signal.sosfilt(torch.cat([voice[:, None], sections], 1), source)
    spoken = spoken / spoken.std(1, keepdim=True)
    loudness = 10 ** (torch.empty(count, 1).uniform_(-20, 0) / 20)
    heard = spoken + loudness * torch.randn(count, length)
    return heard / heard.std(1, keepdim=True), which


class MelPowers(torch.nn.Module):
    """The mean powers in triangular bands of a spectrogram, evenly spaced on the mel scale: it has nothing to learn."""

    def __init__(self, bands: int, window: int = 256) -> None:
        super().__init__()
        self.window = window
        # the same edges as those of the filters that begin on a mel grid
        mel = torch.linspace(0, 1, bands + 2)
        low, high = (2595 * np.log10(1 + hertz / 700) for hertz in EDGES)
        edges = 700 * (10 ** ((low + (high - low) * mel) / 2595) - 1)
        hertz = torch.linspace(0, SAMPLE_RATE / 2, window // 2 + 1)
        up = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        down = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
        self.register_buffer("triangles", torch.minimum(up, down).clamp_min(0))

    def forward(self, x: Tensor) -> Tensor:
        """Map signals (N, T) to powers (N, bands)."""
        hann = torch.hann_window(self.window, device=x.device)
        spectra = torch.stft(x, self.window, self.window // 4, window=hann, center=False, return_complex=True)
        return torch.einsum("cf,bft->bc", self.triangles, spectra.abs().square()) / spectra.shape[2]


class BankPowers(torch.nn.Module):
    """The mean powers of the outputs of band-pass filters; each filters twice, for steeper slopes."""

    def __init__(self, bands: int, learns: bool) -> None:
        super().__init__()
        self.bank = nn.BandpassBank(bands, SAMPLE_RATE, centres="mel", f_min=EDGES[0], f_max=EDGES[1])
        self.bank.requires_grad_(learns)

    def forward(self, x: Tensor) -> Tensor:
        """Map signals (N, T) to powers (N, bands)."""
        once, _ = self.bank(x)
        twice, _ = self.bank(once)
        return twice.square().mean(-1)


def classify(front: torch.nn.Module, heard: Tensor, which: Tensor, steps: int) -> Iterator[torch.nn.Module]:
    """Train a small classifier of powers, and what the front end can learn; yield the model after each step."""
    head = (torch.nn.BatchNorm1d(BANDS), torch.nn.Linear(BANDS, 32), torch.nn.ReLU(), torch.nn.Linear(32, len(VOWELS)))
    model = torch.nn.Sequential(front, Decibels(), *head)
    learnt = [{"params": [weight for layer in head for weight in layer.parameters()], "lr": 0.01}]
    learnt.append({"params": [weight for weight in front.parameters() if weight.requires_grad], "lr": 0.03})
    optimizer = torch.optim.Adam([group for group in learnt if group["params"]])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        drawn = torch.randint(len(heard), (64,))
        loss = torch.nn.functional.cross_entropy(model(heard[drawn]), which[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield model


class Decibels(torch.nn.Module):
    """Powers as levels."""

    def forward(self, power: Tensor) -> Tensor:
        """Return ten times the decimal logarithm, from -50 dB on."""
        return 10 * torch.log10(power + 1e-5)


FRONTS: dict[str, Callable[[], torch.nn.Module]] = {
    "mel spectrogram, fixed": lambda: MelPowers(BANDS),
    "band-pass filters, fixed": lambda: BankPowers(BANDS, learns=False),
    "band-pass filters, learnt": lambda: BankPowers(BANDS, learns=True),
}


class Found(NamedTuple):
    """The paths of centres (steps, C), the bank at their end, vowels told right by seed, and the last learnt bank."""

    paths: np.ndarray
    bank: nn.BandpassBank
    right: dict[str, list[float]]
    learnt: nn.BandpassBank

    @property
    def errors(self) -> tuple[float, float]:
        """The largest errors of centres and of bandwidths, as shares of those of the known bank."""
        pairs = (self.bank.centres, CENTRES), (self.bank.bandwidths, BANDWIDTHS)
        centre, width = (np.abs(found.numpy(force=True) / known - 1).max() for found, known in pairs)
        return float(centre), float(width)


def run(steps: int, count: int, seeds: int) -> Found:
    """Find the filters, and train a classifier with each front end, seed by seed."""
    console = Console(stderr=True)
    torch.manual_seed(0)
    done = track(recover(steps), "finding filters", steps, console=console, transient=True)
    paths, banks = zip(*((bank.centres.tolist(), bank) for _, bank in done), strict=True)

    right: dict[str, list[float]] = {name: [] for name in FRONTS}
    for seed in range(seeds):
        torch.manual_seed(seed)
        (heard, which), (others, truth) = speak(count), speak(1000)
        for name, make in FRONTS.items():
            torch.manual_seed(seed)
            front = make()
            work = classify(front, heard, which, steps)
            *_, model = track(work, f"{name}, seed {seed}", steps, console=console, transient=True)
            with torch.no_grad():
                right[name].append((model.eval()(others).argmax(1) == truth).double().mean().item())
    return Found(np.array(paths), banks[-1], right, front.bank)


def colours(count: int) -> list[Any]:
    """Return as many colours of one scale, without its ends."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.3 + 0.6 * number / (count - 1)) for number in range(count)]


def picture(found: Found, figure: Any) -> None:
    """Draw onto matplotlib's figure how centres are found, and which bands tell vowels apart."""
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    ink = left.xaxis.label.get_color()
    for centre, path, colour in zip(CENTRES, found.paths.T, colours(len(CENTRES)), strict=True):
        left.axhline(centre, color=ink, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
        left.semilogy(path, color=colour, linewidth=1.4)
    left.set(xlabel="step", ylabel="centre, Hz", title="known bank, found")
    hertz = np.geomspace(80, 3900, 400)
    for filters, style in ((BankPowers(BANDS, learns=False).bank, (0, (3, 3))), (found.learnt, "-")):
        _, response = analysis.frequency_response(filters, hertz, sample_rate=SAMPLE_RATE)
        for row, colour in zip(40 * np.log10(np.abs(response.numpy(force=True))), colours(BANDS), strict=True):
            right.semilogx(hertz, row, color=colour, linestyle=style, linewidth=1.2)
    right.set(xlabel="frequency, Hz", ylabel="gain, dB", ylim=(-32, 1), xlim=(hertz[0], hertz[-1]))
    right.set_title("bands for vowels: mel (dashed), learnt")
    for axes, axis, ticks in ((left, left.yaxis, (200, 500, 1000, 2000)), (right, right.xaxis, (100, 300, 1000, 3000))):
        axes.minorticks_off()
        axis.set_ticks(ticks, labels=map(str, ticks))


def main(steps: int = 300, count: int = 2000, seeds: int = 3, plot: str | None = None) -> Found:
    """Run both parts, print their tables, draw into a file if there is one, and return what came out."""
    found = run(steps, count, seeds)
    console = Console()
    table = Table("centre, Hz", "found", "bandwidth, Hz", "found", title="a bank known by its outputs")
    for row in zip(CENTRES, found.bank.centres.tolist(), BANDWIDTHS, found.bank.bandwidths.tolist(), strict=True):
        table.add_row(*(f"{hertz:.1f}" for hertz in row))
    console.print(table)
    table = Table("front end", "vowels told right, by seed", title=f"{BANDS} bands and the same classifier")
    for name, shares in found.right.items():
        table.add_row(name, " ".join(f"{100 * share:.1f} %" for share in shares))
    console.print(table)
    if plot is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8.4, 3.6), layout="constrained")
        picture(found, figure)
        figure.savefig(plot)
    return found


@click.command()
@click.option("--steps", default=300, show_default=True, help="Steps of each training; 80 are a short form.")
@click.option("--count", default=2000, show_default=True, help="Vowels to learn from.")
@click.option("--seeds", default=3, show_default=True, help="How often the classifiers are trained.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw into this file; needs matplotlib.")
def command(steps: int, count: int, seeds: int, plot: str | None) -> None:
    """Find the filters of a bank by gradient, and tell vowels apart by bands that learn."""
    main(steps, count, seeds, plot)


if __name__ == "__main__":
    command()
