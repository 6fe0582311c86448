"""Digital filters from analogue prototypes, in NumPy alone: what checks them must not need SciPy.

Frequencies are fractions of Nyquist's. Elliptic functions go by Landen's transformations, as in S. Orfanidis, *Lecture
Notes on Elliptic Filter Design* (2006).
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Zpk",
    "band_pass",
    "butterworth",
    "chebyshev",
    "elliptic",
    "high_pass",
    "low_pass",
    "polynomial",
    "sections",
]

Roots: TypeAlias = npt.NDArray[Any]


class Zpk(NamedTuple):
    """A transfer function as its zeros, poles and gain."""

    zeros: Roots
    poles: Roots
    gain: float


def butterworth(order: int) -> Zpk:
    """Return the analogue low-pass of cut-off 1 that is maximally flat."""
    return Zpk(np.empty(0), -np.exp(1j * _angles(order)), 1.0)


def chebyshev(order: int, ripple: float) -> Zpk:
    """Return the analogue low-pass of cut-off 1 with so many dB of ripple below it."""
    epsilon = np.sqrt(10 ** (ripple / 10) - 1)
    poles = -np.sinh(np.arcsinh(1 / epsilon) / order + 1j * _angles(order))
    gain = np.prod(-poles).real
    return Zpk(np.empty(0), poles, gain if order % 2 else gain / np.sqrt(1 + epsilon**2))


def elliptic(order: int, ripple: float, attenuation: float) -> Zpk:
    """Return the analogue low-pass of cut-off 1 with ripple below it and so many dB of attenuation beyond."""
    epsilon = np.sqrt(10 ** (ripple / 10) - 1)
    ratio = epsilon / np.sqrt(10 ** (attenuation / 10) - 1)
    places = (2 * np.arange(1, order // 2 + 1) - 1) / order
    complement = np.sqrt(1 - ratio**2)
    selectivity = np.sqrt(1 - (complement**order * np.prod(_sn(places, complement)) ** 4) ** 2)
    shift = -1j * (1 - _inverse_cd(1j / epsilon, ratio)) / order
    zeros = 1j / (selectivity * _cd(places, selectivity))
    poles = 1j * _cd(places - 1j * shift, selectivity)
    zeros, poles = (np.concatenate([half, half.conj()]) for half in (zeros, poles))
    if order % 2:
        poles = np.append(poles, (1j * _cd(1 - 1j * shift, selectivity)).real)
    gain = (np.prod(-poles) / np.prod(-zeros)).real
    return Zpk(zeros, poles, gain if order % 2 else gain / np.sqrt(1 + epsilon**2))


def low_pass(prototype: Zpk, cutoff: float) -> Zpk:
    """Return the digital low-pass of a prototype."""
    warped = _warped(cutoff)
    zeros, poles = prototype.zeros * warped, prototype.poles * warped
    return _digital(Zpk(zeros, poles, prototype.gain * warped ** (len(poles) - len(zeros))))


def high_pass(prototype: Zpk, cutoff: float) -> Zpk:
    """Return the digital high-pass of a prototype."""
    zeros, poles, gain = prototype
    gain *= (np.prod(-zeros) / np.prod(-poles)).real
    at_zero = np.zeros(len(poles) - len(zeros))
    warped = _warped(cutoff)
    return _digital(Zpk(np.concatenate([warped / zeros, at_zero]), warped / poles, gain))


def band_pass(prototype: Zpk, low: float, high: float) -> Zpk:
    """Return the digital band-pass of a prototype, which has twice its poles."""
    zeros, poles, gain = prototype
    width, middle = _warped(high) - _warped(low), _warped(high) * _warped(low)

    def moved(roots: Roots) -> Roots:
        half = roots * width / 2
        away = np.sqrt(half**2 - middle + 0j)
        return np.concatenate([half + away, half - away])

    free = len(poles) - len(zeros)
    return _digital(Zpk(np.concatenate([moved(zeros), np.zeros(free)]), moved(poles), gain * width**free))


def polynomial(filter_: Zpk) -> tuple[Roots, Roots]:
    """Return b and a, a[0] = 1, of a filter whose roots come in conjugate pairs."""
    return filter_.gain * np.real(np.poly(filter_.zeros)), np.real(np.poly(filter_.poles))


def sections(filter_: Zpk) -> list[tuple[Roots, Roots]]:
    """Return the second-order sections of a filter of even order: each pair of poles with the zeros nearest to it."""
    zeros, poles = (_pairs(roots) for roots in (filter_.zeros, filter_.poles))
    found = []
    for pole in sorted(poles, key=lambda pair: -abs(pair[0])):
        index = min(range(len(zeros)), key=lambda i: min(abs(zeros[i] - pole[0])))
        found.append((np.real(np.poly(zeros.pop(index))), np.real(np.poly(pole))))
    share = abs(filter_.gain) ** (1 / len(found))
    return [(share * b, a) for b, a in found]


def _pairs(roots: Roots) -> list[Roots]:
    """Return conjugate pairs, and real roots in pairs of the largest and the smallest."""
    real = np.sort(roots[np.abs(roots.imag) < 1e-12].real)
    above = roots[roots.imag >= 1e-12]
    return [np.array([root, root.conj()]) for root in above] + [
        np.array([real[i], real[-1 - i]]) for i in range(len(real) // 2)
    ]


def _angles(order: int) -> Roots:
    return np.pi * np.arange(1 - order, order, 2) / (2 * order)


def _warped(frequency: float) -> float:
    return float(4 * np.tan(np.pi * frequency / 2))


def _digital(analogue: Zpk) -> Zpk:
    """Apply the bilinear transform, for a sampling rate of 2."""
    zeros, poles, gain = analogue
    gain *= (np.prod(4 - zeros) / np.prod(4 - poles)).real
    at_nyquist = -np.ones(len(poles) - len(zeros))
    return Zpk(np.concatenate([(4 + zeros) / (4 - zeros), at_nyquist]), (4 + poles) / (4 - poles), gain)


def _landen(modulus: float) -> list[float]:
    moduli = []
    while modulus > 1e-16:
        modulus = (modulus / (1 + np.sqrt(1 - modulus**2))) ** 2
        moduli.append(modulus)
    return moduli


def _ascend(w: Any, modulus: float) -> Any:
    for k in reversed(_landen(modulus)):
        w = (1 + k) * w / (1 + k * w**2)
    return w


def _cd(u: Any, modulus: float) -> Any:
    """Return Jacobi's cd of u quarter periods."""
    return _ascend(np.cos(u * np.pi / 2), modulus)


def _sn(u: Any, modulus: float) -> Any:
    return _ascend(np.sin(u * np.pi / 2), modulus)


def _inverse_cd(w: complex, modulus: float) -> complex:
    for k in _landen(modulus):
        w = 2 * w / ((1 + k) * (1 + np.sqrt(1 - (w * modulus) ** 2)))
        modulus = k
    return complex(2 / np.pi * np.arccos(w))
