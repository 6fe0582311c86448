"""What the kinds of section are made of: a table.

The cookbook's analog prototypes, with s in units of the poles' frequency, share one denominator: with A = 10^(gain/40),

    H(s) = (n2·s² + n1·s/Q + n0) / (s² + s/Q + 1),

where a peak's Q is the one asked for times A, and a shelf's poles are at its frequency in tan(ω/2) divided (low shelf)
or multiplied (high shelf) by √A. n2, n1 and n0 are then the gains of a high-pass, band-pass and low-pass filter that
are mixed, and 1, 1, 1 is the signal itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from ..errors import ArgumentError

__all__ = ["KINDS", "Kind", "Recipe", "checked", "table"]

Kind: TypeAlias = Literal["low_pass", "high_pass", "band_pass", "notch", "all_pass", "peak", "low_shelf", "high_shelf"]


class Recipe(NamedTuple):
    """What is mixed, and what the gain does: each `…_power` is an exponent of A.

    Numbers, or arrays of one number a section.
    """

    signal: Any = 0.0
    """How much of the signal itself."""
    high: Any = 0.0
    band: Any = 0.0
    low: Any = 0.0
    """How much is added of the high-pass, band-pass and low-pass filters."""
    high_power: Any = 0.0
    band_power: Any = 0.0
    low_power: Any = 0.0
    """And A to these powers, less 1, which leaves the signal alone at 0 dB."""
    frequency_power: Any = 0.0
    """What multiplies tan(ω/2)."""
    damping_power: Any = 0.0
    """What multiplies 1/Q."""


KINDS: dict[str, Recipe] = {
    "low_pass": Recipe(low=1.0),
    "high_pass": Recipe(high=1.0),
    "band_pass": Recipe(band=1.0),
    "notch": Recipe(signal=1.0, band=-1.0),
    "all_pass": Recipe(signal=1.0, band=-2.0),
    "peak": Recipe(signal=1.0, band_power=2.0, damping_power=-1.0),
    "low_shelf": Recipe(signal=1.0, band_power=1.0, low_power=2.0, frequency_power=-0.5),
    "high_shelf": Recipe(signal=1.0, band_power=1.0, high_power=2.0, frequency_power=0.5),
}


def checked(kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    """Return the kinds of an equaliser as a tuple; raise unless they are a list of names."""
    listed = tuple(kinds) if isinstance(kinds, Sequence) and not isinstance(kinds, str) else ()
    unknown = [kind for kind in listed if kind not in get_args(Kind)]
    if unknown or not listed:
        got = unknown[0] if unknown else kinds
        raise ArgumentError(f"the kinds of an equaliser are a list of one or more of {', '.join(KINDS)}, got {got!r}.")
    return listed


def table(kinds: tuple[str, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the recipes of S kinds (fields, S)."""
    return np.array([KINDS[kind] for kind in kinds]).T
