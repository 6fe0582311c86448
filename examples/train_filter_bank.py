"""Find the pitches in a sound by training a bank of band-pass filters, two weights a filter.

The sound is noise through three resonances. The bank starts on a mel grid, and one gain per filter mixes
its outputs; centres, bandwidths and gains are trained until the mix is the sound.
"""

from collections.abc import Iterator

import numpy as np
import torch

from multirec import nn

SAMPLE_RATE = 16_000
PITCHES = np.array([450.0, 1300.0, 3600.0])


def train(steps: int) -> Iterator[tuple[float, nn.BandpassBank, torch.nn.Parameter]]:
    """Yield, after each step, the loss before it as a share of the target's power, the bank and its gains."""
    noise = torch.randn(8, 1000)
    with torch.no_grad():
        resonances = nn.BandpassBank(3, SAMPLE_RATE, centres=PITCHES, bandwidths=PITCHES / 4)
        target = resonances(noise)[0].sum(1)

    bank = nn.BandpassBank(8, SAMPLE_RATE, centres="mel", f_min=100.0)
    gains = torch.nn.Parameter(torch.full((8,), 0.1))
    optimizer = torch.optim.Adam([*bank.parameters(), gains], lr=0.03)
    for _ in range(steps):
        y, _ = bank(noise)
        mix = torch.einsum("bct,c->bt", y, gains)
        loss = (mix - target).square().mean() / target.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item(), bank, gains


def main(steps: int = 150) -> tuple[float, float]:
    """Train, and return the first and the last loss."""
    done = list(train(steps))
    losses = [loss for loss, _, _ in done]
    _, bank, gains = done[-1]
    print(f"error: {losses[0]:.3f} of the power at first, {losses[-1]:.3f} after {steps} steps")
    for hertz, width, gain in zip(bank.centres, bank.bandwidths, gains, strict=True):
        print(f"  {hertz:7.1f} Hz  width {width:7.1f} Hz  gain {gain:+.2f}")
    return losses[0], losses[-1]


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
