"""Filters by their coefficients."""

from __future__ import annotations

import torch
from torch import Tensor

from multirec._filters.design import normalised
from multirec._recurrence import recurrence
from multirec._torch.function import transformed

from ._arguments import check_pair, check_signal, number_for


def lfilter(waveform: Tensor, a_coeffs: Tensor, b_coeffs: Tensor, clamp: bool = True, batching: bool = True) -> Tensor:
    """Filter along the last axis: a[0]·y[t] = Σ b[j]·x[t−j] − Σ a[k]·y[t−k], from rest.

    Note the order: a comes before b, unlike in SciPy.

    Parameters
    ----------
    waveform
        (..., time).
    a_coeffs, b_coeffs
        (order + 1,) each, for one filter; or (filters, order + 1), for a bank. Both are divided by a[..., 0].
    clamp
        Limit the output to [−1, 1]. What is fed back is not limited.
    batching
        For a bank: whether filter i filters channel i of a waveform (..., filters, time), or else every channel of
        a waveform (..., time).

    Returns
    -------
    Tensor
        Of the waveform's shape and data type; (..., filters, time) for a bank without `batching`, for which the
        waveform is not copied.

    Raises
    ------
    ShapeError
        Coefficients of different or wrong shapes, or a bank and a waveform with another number of channels.
    DtypeError
        Integers, or complex numbers with `clamp`.

    Notes
    -----
    As `torchaudio.functional.lfilter` of torchaudio 2.11. A filter with a[0] = 0 gives numbers that are not finite.
    Float64 coefficients of a float32 waveform are rounded, or computed with in float64 where rounding would spoil the
    filter (see `multirec.recurrence`); torchaudio raises.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import lfilter
    >>> a, b = torch.tensor([1.0, -0.5]), torch.tensor([0.75, 0.0])
    >>> lfilter(torch.ones(4), a, b)
    tensor([0.7500, 1.0000, 1.0000, 1.0000])
    >>> lfilter(torch.ones(4), a, b, clamp=False)
    tensor([0.7500, 1.1250, 1.3125, 1.4062])
    """
    check_signal(waveform, clamp)
    check_pair(waveform, a_coeffs, b_coeffs, clamp, batching)
    return _limited(_filtered(waveform, a_coeffs, b_coeffs, batching), clamp)


def filtfilt(waveform: Tensor, a_coeffs: Tensor, b_coeffs: Tensor, clamp: bool = True) -> Tensor:
    """Filter forwards, then backwards, each from rest: unlike SciPy's, nothing is padded at the ends.

    Parameters
    ----------
    waveform, a_coeffs, b_coeffs
        As in `lfilter` with `batching`.
    clamp
        Limit the result to [−1, 1]; what comes from the first pass is not limited.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import filtfilt
    >>> filtfilt(torch.eye(5)[2], torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))
    tensor([0.0000, 0.2500, 0.5000, 0.2500, 0.0000])
    """
    check_signal(waveform, clamp)
    check_pair(waveform, a_coeffs, b_coeffs, clamp, batching=True)
    forwards = _filtered(waveform, a_coeffs, b_coeffs)
    return _limited(_filtered(forwards, a_coeffs, b_coeffs, reverse=True), clamp)


def biquad(
    waveform: Tensor,
    b0: float | Tensor,
    b1: float | Tensor,
    b2: float | Tensor,
    a0: float | Tensor,
    a1: float | Tensor,
    a2: float | Tensor,
) -> Tensor:
    """Filter with one second-order section, and limit the output to [−1, 1].

    Parameters
    ----------
    waveform
        (..., time).
    b0, b1, b2, a0, a1, a2
        Numbers, or tensors of one; rounded to the waveform's precision (float32 for half types).

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import biquad
    >>> biquad(torch.eye(4)[0], 0.5, 0.0, 0.0, 1.0, -0.5, 0.0)
    tensor([0.5000, 0.2500, 0.1250, 0.0625])
    """
    check_signal(waveform, clamp=True)
    named = {"a0": a0, "a1": a1, "a2": a2, "b0": b0, "b1": b1, "b2": b2}
    taps = torch.stack([number_for(waveform, *item) for item in named.items()])
    return lfilter(waveform, taps[:3], taps[3:])


def preemphasis(waveform: Tensor, coeff: float | Tensor = 0.97) -> Tensor:
    """Return y[t] = x[t] − coeff·x[t−1] along the last axis, not limited.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import preemphasis
    >>> preemphasis(torch.ones(3), 0.75)
    tensor([1.0000, 0.2500, 0.2500])
    """
    check_signal(waveform)
    one, one_and_minus = _first_order(waveform, coeff)
    return _filtered(waveform, one, one_and_minus)


def deemphasis(waveform: Tensor, coeff: float | Tensor = 0.97) -> Tensor:
    """Return y[t] = x[t] + coeff·y[t−1] along the last axis, limited to [−1, 1]: the inverse of `preemphasis`.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import deemphasis
    >>> deemphasis(torch.tensor([0.5, 0.5, 0.5]), 0.5)
    tensor([0.5000, 0.7500, 0.8750])
    """
    check_signal(waveform, clamp=True)
    one, one_and_minus = _first_order(waveform, coeff)
    return _limited(_filtered(waveform, one_and_minus, one), clamp=True)


def _first_order(waveform: Tensor, coeff: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return the polynomials 1 and 1 − coeff·z⁻¹."""
    number = number_for(waveform, "coeff", coeff)
    one = torch.ones_like(number)
    return one[None], torch.stack([one, -number])


def _filtered(waveform: Tensor, a: Tensor, b: Tensor, batching: bool = True, *, reverse: bool = False) -> Tensor:
    """Filter with a and b, each (n,) or (filters, n); `batching` tells whether a bank's channels are the waveform's."""
    own_channels = waveform.ndim > 1 and (a.ndim == 1 or batching)
    x = waveform if own_channels else waveform.unsqueeze(-2)
    feedforward, feedback = normalised(*(part if part.ndim == 2 else part[None] for part in (b, a)))
    # a batch axis more, since a signal of n samples looks like a gate of n taps
    y: Tensor = recurrence(x[None], feedforward=feedforward, feedback=feedback, reverse=reverse)[0][0]
    return y if own_channels or a.ndim == 2 else y.squeeze(-2)


def _limited(y: Tensor, clamp: bool) -> Tensor:
    if not clamp:
        return y
    if torch.compiler.is_compiling() or y.requires_grad or transformed():
        return y.clamp(-1.0, 1.0)
    # y is new memory, and pages of more of it take longer than the filter
    return y.clamp_(-1.0, 1.0)
