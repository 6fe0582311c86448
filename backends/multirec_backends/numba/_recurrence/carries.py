"""What segments of a signal hand on to each other: predicted by powers of their transition, then checked and corrected.

A segment that is run from zeros sees inputs that do not belong to them. The poles answer with a transient, which may
be far larger than the signal (every high-pass and notch has zeros next to its poles) and only cancels once the true
state is carried in; what was rounded away of it does not come back. So the carried states are checked: every
segment is run from its own, and what it hands on is compared with what the next one began with. These small
differences are carried on in the same way, and give how far every segment began from where it should have. That is
held against what stepping from sample to sample loses in any case: rounding once a step, through the filter's
response. Where it is more, the segments are run again from the corrected states.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[Any]

_CONTRACTION = 1e-5
"""Powers may not lose more than this: eps of float64 times the square of their largest entry."""
_FIRST, _CORRECTED = (1.0, 3.0), (2.5, 6.0)
"""How far segments may begin from where they should, over the error of stepping, at first and after correction: on
average over all segments, and over a few. Errors that last long are alike over these, and may be large by chance.
"""
_ROUNDING = 0.25
"""The error of one rounding over the eps and the magnitude of what is rounded, root mean square."""
_FEW = 8
"""Segments that are a few."""


class Settled(NamedTuple):
    """Segments that begin where the ones before them end, but for rounding errors."""

    ends: Signal
    """What every segment hands on, (channels, segments, p)."""
    jumps: Signal
    """That less what the next one began with, (channels, segments - 1, p)."""


class Carries:
    """The states at the ends of `count` segments of `size` samples, for feedback (channels, p).

    Parameters
    ----------
    feedback
        Taps of y[t-1], y[t-2], …; with `adjoint` the transition is the transposed one.
    eps
        Of the precision that segments are run in.
    """

    def __init__(self, feedback: Signal, size: int, count: int, eps: float, adjoint: bool) -> None:
        taps = feedback.astype(np.result_type(feedback.dtype, np.float64))
        with np.errstate(all="ignore"):
            self._step, powers, self._gains, growth = _powers(taps.tobytes(), taps.shape, taps.dtype.str, size, count)
            self._per_step = _ROUNDING * eps * np.sqrt(1 + np.sum(np.abs(taps) ** 2, axis=-1))
            self.trusted = bool(np.finfo(np.float64).eps * growth * growth < _CONTRACTION)
        self._powers = powers
        if adjoint:
            self._step, self._powers = _adjoint(self._step), [_adjoint(power) for power in powers]

    def settle(self, first: Signal, alone: Signal, run: Callable[[Signal], Signal]) -> Settled | None:
        """Run the segments from their true states.

        Parameters
        ----------
        first
            The state before the first segment, (channels, p).
        alone
            The ends of segments that are run from zeros.
        run
            Runs them from given states, (channels, segments, p) of the dtype of `alone`, and returns their ends.

        Returns
        -------
        What the run that was good enough handed on, or None: the signal must be run from sample to sample.
        """
        starts = self._carried(first, alone).astype(alone.dtype)
        for limits in (_FIRST, _CORRECTED, _CORRECTED):
            ends = run(starts[:, :-1])
            missed = _missed(starts[:, 1:], ends)
            drift = self._carried(np.zeros_like(first), missed)
            if self._small(drift, ends, limits):
                return Settled(ends, missed[:, :-1])
            with np.errstate(all="ignore"):
                starts = (starts + drift).astype(alone.dtype)
        return None

    def response(self, states: Signal, taps: Signal) -> Signal:
        """Return the first samples that states (channels, n, p) alone give, through `taps` (channels, 1 + q) as well.

        There are q of them, (channels, n, q), the first one last.
        """
        newest = np.zeros((len(taps), 1, self._step.shape[-1]), self._step.dtype)
        newest[..., -1] = 1
        outputs: list[Signal] = []
        for _ in range(taps.shape[-1] - 1):
            outputs.insert(0, (states @ newest.swapaxes(-1, -2))[..., 0])
            newest = newest @ self._step
        found = [
            sum(tap[:, None] * output for tap, output in zip(taps.T, outputs[i:], strict=False))
            for i in range(len(outputs))
        ]
        return np.stack(found, axis=-1)

    def lost(self, ends: Signal) -> Signal:
        """Return what stepping loses until the end of every segment (channels, segments), root mean square.

        Rounding is in proportion to the outputs, of which the newest at the `ends` are looked at, and goes on through
        the filter as long as it remembers.
        """
        newest = np.abs(ends[..., -1]).astype(np.float64)
        level = np.where(np.isfinite(newest), newest, 0)
        scale = np.maximum(level.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        squares = np.square(level / scale)
        gains = np.broadcast_to(self._gains, level.shape)
        summed = np.stack([np.convolve(*each)[: level.shape[1]] for each in zip(gains, squares, strict=True)])
        lost: Signal = self._per_step[:, None] * scale * np.sqrt(summed)
        return lost

    def _small(self, drift: Signal, ends: Signal, limits: tuple[float, float]) -> bool:
        with np.errstate(all="ignore"):
            drifted, lost = np.abs(drift[:, 1:, -1]), self.lost(ends)
            near, lost_near = (
                each[:, each.shape[1] % _FEW :].reshape(len(each), -1, _FEW).sum(-1) for each in (drifted, lost)
            )
            on_average = np.all(drifted.sum(1) <= limits[0] * lost.sum(1))
            return bool(on_average and np.all(near <= limits[1] * lost_near))

    def _carried(self, first: Signal, ends: Signal) -> Signal:
        """Return the states at the segments' starts and at the end (channels, segments + 1, p) in float64.

        `ends` are the segments' ends from zero state, the powers those of the transition to 1, 2, 4, … segments.
        """
        states = np.concatenate([first[:, None], ends], axis=1)
        states = states.astype(np.result_type(states.dtype, self._powers[0].dtype))
        with np.errstate(all="ignore"):
            for i, power in enumerate(self._powers):
                reach = 1 << i
                states[:, reach:] += np.matmul(states[:, :-reach], power.swapaxes(-1, -2))
        return states


def _missed(starts: Signal, ends: Signal) -> Signal:
    """Return ends less starts in float64; what is not finite on both sides agrees."""
    with np.errstate(all="ignore"):
        missed = ends.astype(np.result_type(ends.dtype, np.float64)) - starts
        return np.where(np.isfinite(ends) | np.isfinite(starts), missed, 0)


@lru_cache(maxsize=64)
def _powers(
    taps: bytes, shape: tuple[int, int], dtype: str, size: int, count: int
) -> tuple[Signal, list[Signal], Signal, float]:
    """Return the transition of one sample, those of 1, 2, 4, … up to `count` segments, gains and the largest entry.

    The gains (channels, segments) are for independent errors, one a sample, of the same segment, the one before, …:
    their variance when it ends over that of one. Forward and backward share all of it.
    """
    channels, p = shape
    step = np.zeros((channels, p, p), dtype)
    step[:, range(p - 1), range(1, p)] = 1
    step[:, p - 1] = np.frombuffer(taps, dtype).reshape(shape)[:, ::-1]
    squares, noise = [step], np.zeros_like(step)
    noise[:, -1, -1] = 1
    power, within = None, np.zeros_like(step)
    for bit in range(size.bit_length()):
        square = squares[-1]
        if size >> bit & 1:
            within = noise if power is None else within + power @ noise @ _adjoint(power)
            power = square if power is None else power @ square
        noise = noise + square @ noise @ _adjoint(square)
        squares.append(square @ square)
    assert power is not None
    powers, rows = [power], np.zeros_like(step[:, :1])
    rows[..., -1] = 1
    # the first state too reaches the end, `count` segments away
    while 1 << len(powers) <= count:
        rows = np.concatenate([rows, rows @ powers[-1]], axis=1)
        powers.append(powers[-1] @ powers[-1])
    rows = np.concatenate([rows, rows @ powers[-1]], axis=1)[:, :count]
    gains = np.maximum(np.sum((rows @ within) * rows.conj(), axis=-1).real, 0)
    return step, powers, gains, float(np.max(np.abs(np.stack(squares + powers))))


def _adjoint(matrix: Signal) -> Signal:
    return matrix.conj().swapaxes(-1, -2)
