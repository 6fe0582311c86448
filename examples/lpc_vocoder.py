"""Make a spoken diphthong from its formants, and find its filters again from the sound, by gradient.

A voice of pulses and breath goes through three formants that glide from /a/ to /i/, a frame every 25 ms. The frames are
then learnt from the sound and the voice alone: log area ratios, of which any numbers make stable filters.
"""

from collections.abc import Iterator

import numpy as np
import torch

from multirec import nn

SAMPLE_RATE, HOP, LENGTH, PITCH = 8000, 200, 4000, 110.0
OPEN = np.array([[730, 90], [1090, 110], [2440, 170]])
CLOSE = np.array([[270, 60], [2290, 120], [3010, 170]])
"""Formants of /a/ and /i/ in hertz (Peterson and Barney, 1952), and bandwidths."""


def denominator(formants: np.ndarray) -> np.ndarray:
    """Return a[1..6] of three formants: for each a pair of poles."""
    poles = np.exp(np.pi / SAMPLE_RATE * (2j * formants[:, 0] - formants[:, 1]))
    return np.poly([*poles, *poles.conj()]).real[1:]


def formants_of(a: torch.Tensor) -> list[int]:
    """Return the frequencies, in hertz, of the poles of A(z) = 1 + Σ a[k] z^-k."""
    roots = np.roots([1.0, *a.tolist()])
    return sorted(round(float(np.angle(root)) * SAMPLE_RATE / (2 * np.pi)) for root in roots if root.imag > 0)


def emphasised(sound: torch.Tensor) -> torch.Tensor:
    """Return a sound with its treble raised, where a voice has little."""
    return sound[:, 1:] - 0.95 * sound[:, :-1]


def learn(
    voice: torch.Tensor, sound: torch.Tensor, synth: nn.LPCSynth, rounds: int
) -> Iterator[tuple[float, torch.Tensor]]:
    """Yield, after each round of L-BFGS, the error before it as a share of the sound's power, and the frames."""
    frames = torch.zeros(1, synth.frames_needed(LENGTH) + 1, synth.order, requires_grad=True)
    optimizer = torch.optim.LBFGS([frames], max_iter=20, history_size=20, line_search_fn="strong_wolfe")

    def error() -> torch.Tensor:
        optimizer.zero_grad()
        made, _ = synth(voice, frames)
        found = emphasised(made - sound).square().mean() / emphasised(sound).square().mean()
        found.backward()
        return found

    for _ in range(rounds):
        yield optimizer.step(error).item(), frames


def main(rounds: int = 20) -> tuple[float, float]:
    """Synthesise, learn, and return the first and the last error."""
    glide = np.linspace(0, 1, LENGTH // HOP + 1)[:, None, None]
    spoken = torch.tensor(np.array([denominator(formants) for formants in OPEN + glide * (CLOSE - OPEN)]))
    voice = 0.3 * torch.randn(1, LENGTH)
    voice[:, :: round(SAMPLE_RATE / PITCH)] += 1.0
    sound, _ = nn.LPCSynth(6, HOP, coefficients="lpc")(voice, spoken.float()[None])

    # on the way there are frames so far apart that a straight line between them would not be stable
    synth = nn.LPCSynth(6, HOP, coefficients="log_area", subframes=5)
    done = list(learn(voice, sound, synth, rounds))
    errors = [error for error, _ in done]
    print(f"error: {errors[0]:.2f} of the power at first, {errors[-1]:.1e} after {rounds} rounds; formants in hertz:")
    found = -synth.feedback(done[-1][1].detach())[0]
    for place in (0, len(found) // 2, len(found) - 1):
        print(f"  frame {place:2}: spoken {formants_of(spoken[place])}, learnt {formants_of(found[place])}")
    return errors[0], errors[-1]


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
