"""Polynomials on the unit circle, seen from the middle of their taps.

B(ω) = Σ b[k]·exp(-jωk) of n taps is exp(-jωM)·G(ω) with M = (n - 1)/2. G pairs the taps around the middle: with lag =
M - k, G(ω) = Σ even[k]·cos(ω·lag) + j·odd[k]·sin(ω·lag), where even and odd are b[k] ± b[n-1-k]. Its cosines are
written as Σb - 2·Σ even[k]·sin²(ω·lag/2), which leaves nothing to cancel near ω = 0: there audio has its poles, and Σb
of a section is exact. arg B = arg G - ωM, so the group delay of B is M - Im(G'/G): M itself for symmetric taps.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import name_of
from .._core.axes import cast_to, namespace
from ..signal._arrays import like

__all__ = ["centred", "turn"]

Array: TypeAlias = Any


class _Pairs:
    """The taps (…, C, n) of polynomials, paired around their middle, at F frequencies in radians."""

    def __init__(self, taps: Array, radians: Array) -> None:
        count = taps.shape[-1]
        half = count // 2
        mirrored = namespace(taps).flip(taps, (-1,))
        self.taps, self.mirrored = taps, mirrored
        self.even = taps[..., :half] + mirrored[..., :half]
        self.odd = taps[..., :half] - mirrored[..., :half]
        self.lag = cast_to(like((count - 1) / 2 - np.arange(half), radians), name_of(radians.dtype))
        self.angle = self.lag[:, None] * radians
        self.radians = radians

    def value(self) -> Array:
        """Return G (…, C, F)."""
        sine = namespace(self.angle).sin
        cosines = _sum(self.taps)[..., None] - 2 * _weighted(self.even, sine(self.angle / 2) ** 2)
        return cosines + 1j * _weighted(self.odd, sine(self.angle))

    def derivative(self, order: int) -> Array:
        """Return the derivative of G of an order from 1 on, by ω."""
        library, power = namespace(self.angle), cast_to(self.lag**order, name_of(self.taps.dtype))
        waves = library.cos(self.angle), library.sin(self.angle)
        # cos → -sin → -cos → sin, and sin → cos → -sin → -cos
        quarter = order % 4
        cosines = (1, -1, -1, 1)[quarter] * _weighted(self.even * power, waves[quarter % 2])
        sines = (1, 1, -1, -1)[quarter] * _weighted(self.odd * power, waves[1 - quarter % 2])
        return cosines + 1j * sines

    def noise(self, order: int) -> Array | float:
        """Return below what G or a derivative of it is nothing but rounding, (…, C, 1); sections have none."""
        count = self.taps.shape[-1]
        if count <= 3:
            return 0.0
        eps = float(np.finfo(name_of(self.radians.dtype)).eps)
        return abs(self.taps).sum(-1)[..., None] * (4 * eps * (count / 2) ** order)

    def symmetric(self) -> Array:
        """Return which polynomials (…, C) are real or imaginary in G everywhere: linear phase."""
        real = "complex" not in name_of(self.taps.dtype)
        return ((self.taps == self.mirrored).all(-1) | (self.taps == -self.mirrored).all(-1)) & real


def centred(taps: Array, radians: Array) -> Array:
    """Return G (…, C, F) of polynomials with taps (…, C, n) at F frequencies."""
    return _Pairs(taps, radians).value()


def turn(taps: Array, radians: Array) -> Array:
    """Return Im(G'/G) (…, C, F), how fast the phase of G turns; at a zero of G, the limit.

    About a zero of order m, G'/G is m/(ω - ω0), which is real, and a rest that is G⁽ᵐ⁺¹⁾/((m + 1)·G⁽ᵐ⁾) there.
    """
    pairs = _Pairs(taps, radians)
    library = namespace(radians)
    ladder = [pairs.value(), *(pairs.derivative(order) for order in (1, 2, 3))]
    like = ladder[0].imag
    # of symmetric taps G'/G is real for zeros of any order
    found = library.where(pairs.symmetric()[..., None], library.zeros_like(like), library.full_like(like, np.nan))
    for order in (2, 1, 0):
        vanishes = abs(ladder[order]) <= pairs.noise(order)
        # a 1 in place of 0, whose gradient would be NaN though it is not taken
        rate = ladder[order + 1] / library.where(vanishes, library.ones_like(like), ladder[order]) / (order + 1)
        found = library.where(vanishes, found, rate.imag)
    return found


def _weighted(taps: Array, waves: Array) -> Array:
    """Return Σ taps[k]·waves[k] (…, C, F)."""
    library = namespace(taps)
    # JAX else multiplies in less than float32 on devices
    exactly = {"precision": "highest"} if library.__name__ == "jax.numpy" else {}
    return library.matmul(taps, cast_to(waves, name_of(taps.dtype)), **exactly)


def _sum(taps: Array) -> Array:
    """Return Σ taps (…, C), from the first on: near z = 1 each sum of a section's taps is exact (Sterbenz)."""
    total = taps[..., 0]
    for index in range(1, min(taps.shape[-1], 3)):
        total = total + taps[..., index]
    return total + taps[..., 3:].sum(-1)
