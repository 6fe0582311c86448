"""Filters that people design: what random poles hardly ever are, and what rounding tells apart.

Poles that lie close to the circle and to each other, with zeros close to them: high-passes, notches and shelves at
audio rates, band-passes as one polynomial, K-weighting, gammatone filters.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..backend import COMPLEX_DTYPES
from . import _prototypes as prototypes
from .problems import Wide, round_to

__all__ = ["Filter", "designed", "family", "marginal"]


class Filter(NamedTuple):
    """A filter by name, in float64 or complex128: y[t] = Σ feedforward[j] x[t−j] + Σ feedback[k−1] y[t−k].

    Example
    -------
    >>> Filter.of("leaky", [0.1], [1, -0.9])
    Filter(name='leaky', feedforward=(0.1,), feedback=(0.9,))
    """

    name: str
    feedforward: tuple[complex, ...]
    feedback: tuple[complex, ...]

    @classmethod
    def of(cls, name: str, b: npt.ArrayLike, a: npt.ArrayLike) -> Filter:
        """Return the filter that SciPy writes as (b, a)."""
        b, a = np.asarray(b), np.asarray(a)
        return cls(name, tuple((b / a[0]).tolist()), tuple((-a[1:] / a[0]).tolist()))

    @property
    def order(self) -> int:
        """The number of past outputs p."""
        return len(self.feedback)

    def rounded(self, dtype: str) -> Filter:
        """Return the filter of the coefficients as `dtype` has them.

        Complex types get it turned by 1 rad along the circle. Half types compute with coefficients of float32.
        """
        b, a = np.array(self.feedforward), np.array(self.feedback)
        if dtype in COMPLEX_DTYPES:
            turn = np.exp(1j * np.arange(1 + max(len(a), len(b))))
            b, a = b * turn[: len(b)], a * turn[1 : 1 + len(a)]
        kept = dtype if dtype in ("float64", *COMPLEX_DTYPES) else "float32"
        return Filter(self.name, tuple(round_to(b, kept).tolist()), tuple(round_to(a, kept).tolist()))

    def radius(self) -> float:
        """Return the magnitude of the largest pole."""
        return float(np.abs(np.roots(np.r_[1, -np.array(self.feedback)])).max(initial=0))


@lru_cache(maxsize=8)
def family(dtype: str) -> tuple[Filter, ...]:
    """Return the designed filters with their coefficients as `dtype` has them: those that are still stable then.

    A filter that rounding makes unstable is another filter, and is judged as an unstable one. Filters with a pole on
    the circle that a zero cancels belong to the family while the rounded zero still cancels it.

    Example
    -------
    >>> names = {dtype: {filter.name for filter in family(dtype)} for dtype in ("float32", "float64")}
    >>> names["float32"] < names["float64"]
    True
    """
    found = (filter_.rounded(dtype) for filter_ in designed())
    return tuple(filter_ for filter_ in found if filter_.radius() < 1 - 1e-9 or _is_cancelled(filter_))


def _is_cancelled(filter_: Filter) -> bool:
    """Say whether zeros cancel every pole that is not inside the circle: b is divided by those poles exactly."""
    if any(isinstance(tap, complex) for tap in filter_.feedback) or not filter_.name.startswith("integrator"):
        return False
    b = np.array(filter_.feedforward)
    for _ in range(filter_.order):
        if b.sum() != 0:
            return False
        b = np.cumsum(b)[:-1]
    return True


@lru_cache(maxsize=1)
def designed() -> tuple[Filter, ...]:
    """Return the family in float64, whatever rounding does to it; sections of a cascade are filters of their own."""
    return tuple(
        filter_
        for part in (_high_passes, _notches, _equalisers, _k_weighting, _band_passes, _gammatones, _poles, _orders)
        for filter_ in part()
    )


@lru_cache(maxsize=1)
def marginal() -> tuple[Filter, ...]:
    """Return filters with a pole on the circle that nothing cancels: their errors grow as long as they run."""
    return (
        Filter.of("accumulator", [1], [1, -1]),
        Filter.of("double accumulator", [1], [1, -2, 1]),
        Filter.of("oscillator at 0.3", [1], [1, -2 * np.cos(0.3), 1]),
        Filter.of("alternating accumulator", [1], [1, 1]),
    )


def _high_passes() -> Iterator[Filter]:
    for frequency, rate in ((0.1, 500), (0.5, 500), (2, 1000), (20, 16000), (20, 48000), (80, 48000)):
        design = prototypes.high_pass(prototypes.butterworth(2), 2 * frequency / rate)
        yield Filter.of(f"high-pass {frequency} Hz @ {rate}", *prototypes.polynomial(design))
    for frequency, rate in ((0.1, 500), (5, 16000), (20, 48000)):
        pole = np.exp(-2 * np.pi * frequency / rate)
        yield Filter.of(f"DC blocker {frequency} Hz @ {rate}", (1 + pole) / 2 * np.array([1, -1]), [1, -pole])
    for frequency, rate in ((0.5, 500), (20, 48000)):
        design = prototypes.high_pass(prototypes.butterworth(4), 2 * frequency / rate)
        name = f"high-pass of order 4, {frequency} Hz @ {rate}"
        yield Filter.of(name, *prototypes.polynomial(design))
        yield from _sections(name, design)


def _notches() -> Iterator[Filter]:
    for frequency, quality, rate in product((50, 60), (10, 30, 50), (500, 16000, 48000)):
        cosine, alpha = _cookbook(frequency, quality, rate)
        b, a = np.array([1, -2 * cosine, 1]), np.array([1 + alpha, -2 * cosine, 1 - alpha])
        yield Filter.of(f"notch {frequency} Hz, Q {quality} @ {rate}", b, a)


def _equalisers() -> Iterator[Filter]:
    """Peaks and shelves, as in R. Bristow-Johnson's cookbook."""
    for frequency, quality, decibels in ((40, 8, 12), (100, 1, 6), (1000, 4, -6), (8000, 2, 3)):
        cosine, alpha = _cookbook(frequency, quality, 48000)
        gain = 10 ** (decibels / 40)
        b = np.array([1 + alpha * gain, -2 * cosine, 1 - alpha * gain])
        a = np.array([1 + alpha / gain, -2 * cosine, 1 - alpha / gain])
        yield Filter.of(f"peak {frequency} Hz, Q {quality}, {decibels:+} dB", b, a)
    for sign, frequency, decibels in ((1, 30, 12), (1, 100, 6), (1, 100, -12), (-1, 4000, 6), (-1, 10000, -6)):
        cosine, alpha = _cookbook(frequency, np.sqrt(0.5), 48000)
        gain = 10 ** (decibels / 40)
        # a high shelf is the low one with its frequency axis turned round
        cosine *= sign
        side = 2 * np.sqrt(gain) * alpha
        up, down = gain + 1, gain - 1
        b = gain * np.array([up - down * cosine + side, 2 * sign * (down - up * cosine), up - down * cosine - side])
        a = np.array([up + down * cosine + side, -2 * sign * (down + up * cosine), up + down * cosine - side])
        yield Filter.of(f"{'low' if sign > 0 else 'high'} shelf {frequency} Hz, {decibels:+} dB", b, a)


def _cookbook(frequency: float, quality: float, rate: float) -> tuple[float, float]:
    angle = 2 * np.pi * frequency / rate
    return float(np.cos(angle)), float(np.sin(angle) / (2 * quality))


def _k_weighting() -> Iterator[Filter]:
    """The two stages of ITU-R BS.1770-4, at 48 kHz."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    yield Filter.of("K-weighting, shelf", shelf, [1, -1.69065929318241, 0.73248077421585])
    yield Filter.of("K-weighting, high-pass", [1, -2, 1], [1, -1.99004745483398, 0.99007225036621])


def _band_passes() -> Iterator[Filter]:
    for order, (low, high) in product((1, 2, 3, 4), ((0.05, 0.1), (0.2, 0.5))):
        for kind, prototype in (
            ("Butterworth", prototypes.butterworth(order)),
            ("Chebyshev", prototypes.chebyshev(order, 1)),
            ("elliptic", prototypes.elliptic(order, 1, 40)),
        ):
            if (kind, order) == ("elliptic", 1):
                continue  # Chebyshev's
            design = prototypes.band_pass(prototype, low, high)
            name = f"{kind} band-pass of order {2 * order}, {low} to {high}"
            yield Filter.of(name, *prototypes.polynomial(design))
            if order in (2, 4):
                yield from _sections(name, design)


def _gammatones() -> Iterator[Filter]:
    """Slaney's gammatone filters of order 4: four sections with one pair of poles and a zero each."""
    for centre, rate in ((100, 16000), (1000, 16000), (4000, 16000)):
        bandwidth = 1.019 * 24.7 * (4.37e-3 * centre + 1)
        radius, angle = np.exp(-2 * np.pi * bandwidth / rate), 2 * np.pi * centre / rate
        a = np.array([1, -2 * radius * np.cos(angle), radius**2])
        whole, every = np.ones(1, complex), np.ones(1)
        for index, lean in enumerate(np.outer([1, -1], np.sqrt([3 + 2**1.5, 3 - 2**1.5])).ravel()):
            b = np.array([1, -radius * (np.cos(angle) + lean * np.sin(angle))])
            section = _of_peak_one(f"gammatone {centre} Hz, section {index + 1}", b, a)
            whole, every = np.convolve(whole, section.feedforward), np.convolve(every, a)
            yield section
        yield Filter.of(f"gammatone {centre} Hz", whole.real, every)


def _poles() -> Iterator[Filter]:
    for radius in (0.99, 0.999, 0.9999, 0.99999):
        yield _of_peak_one(f"double pole {radius}", [1], np.poly([radius, radius]))
        yield _of_peak_one(f"double pole {radius}, zeros at 1", [1, -2, 1], np.poly([radius, radius]))
    for radius in (0.9, 0.99, 0.999):
        yield _of_peak_one(f"triple pole {radius}", [1], np.poly([radius] * 3))
        cluster = radius * np.exp(1j * np.array([0.3, -0.3, 0.31, -0.31]))
        yield _of_peak_one(f"clustered poles {radius}", [1], np.real(np.poly(cluster)))
    for radius, angle in product((0.99, 0.999, 0.9999), (0.01, 0.3, 1.5, 3.1)):
        a = [1, -2 * radius * np.cos(angle), radius**2]
        yield _of_peak_one(f"resonator {radius} at {angle}", [1], a)
    yield _of_peak_one("resonator 0.9999 at 0.3, zeros at ±1", [1, 0, -1], [1, -1.9998 * np.cos(0.3), 0.9999**2])
    yield Filter.of("integrator, zero at 1", [1, -1], [1, -1])
    yield Filter.of("integrator, mean of 8", np.r_[1, np.zeros(7), -1] / 8, [1, -1])
    yield Filter.of("integrator twice, zeros at 1", np.convolve([1, 0, 0, 0, -1], [1, 0, 0, 0, -1]) / 16, [1, -2, 1])


def _orders() -> Iterator[Filter]:
    """Low-passes of orders that nothing else here has."""
    for order in (1, 3, 5, 7, 9, 12, 16):
        design = prototypes.low_pass(prototypes.butterworth(order), 0.5)
        yield Filter.of(f"low-pass of order {order}", *prototypes.polynomial(design))
    for order in (10, 11, 13, 14, 15):
        roots = 0.8 * np.exp(2j * np.pi * np.arange(order) / order)
        yield _of_peak_one(f"comb of order {order}", [1, -0.5], np.real(np.poly(roots)))
    yield Filter.of("leaky sum 0.999", [0.001], [1, -0.999])


def _sections(name: str, design: prototypes.Zpk) -> Iterator[Filter]:
    for index, (b, a) in enumerate(prototypes.sections(design)):
        yield Filter.of(f"{name}, section {index + 1}", b, a)


def _of_peak_one(name: str, b: npt.ArrayLike, a: npt.ArrayLike) -> Filter:
    """Return a filter that lets through at most 1, looked at where its poles are."""
    b, a = np.asarray(b), np.asarray(a)
    z = np.exp(1j * np.append(np.angle(np.roots(a)), [0.0, np.pi, 1.0]))
    response: Wide = np.abs(np.polyval(b[::-1], 1 / z) / np.polyval(a[::-1], 1 / z))
    return Filter.of(name, b / response.max(), a)
