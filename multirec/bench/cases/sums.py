"""A cheap look at every channel and example: sums over time with random signs, and the sizes that they are held to."""

from __future__ import annotations

import numpy as np

from .signals import Array, numbers

# a wrong row is missed where both sums happen to be right
_SUMS = 2


def signs(length: int, draw: int) -> Array:
    """Return random signs (T, sums) for a run."""
    # the channels are drawn from the same number
    return np.random.default_rng((draw, 1)).choice([-1.0, 1.0], (length, _SUMS))


def signed_sums(array: Array, weights: Array) -> Array:
    """Return the sums (B, C, sums) of an array (B, C, T), or (B, C, taps, sums) of one with taps.

    Example
    -------
    >>> signed_sums(np.ones((1, 2, 3)), np.array([[1.0], [-1.0], [1.0]])).tolist()
    [[[1.0], [1.0]]]
    """
    # an example at a time: all of y in float64 would be twice its memory
    return np.stack([_wide(example) @ weights for example in array])


def sizes(array: Array) -> Array:
    """Return the roots of the sums of squares over time, which is how large a signed sum is: (B, C) or (B, C, taps)."""
    return np.stack([np.sqrt((np.abs(_wide(example)) ** 2).sum(-1)) for example in array])


def _wide(example: Array) -> Array:
    example = numbers(example)
    example = np.moveaxis(example, 1, -1) if example.ndim > 2 else example
    return example.astype(np.complex128 if np.iscomplexobj(example) else np.float64)
