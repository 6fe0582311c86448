"""Every weight is a stable filter: reflection coefficients, the Levinson step-up, and its inverse.

A denominator A(z) = 1 + Σ a[i] z^-i has its poles inside the unit circle exactly where its reflection
coefficients are within (-1, 1) (Schur–Cohn); here they are tanh(weight). Rounding a[i] to the weights'
precision moves poles, so weights are also kept where the *rounded* filter is stable. Feedback is -a.
Inside this module taps come first, so that each is one contiguous row.
"""

from __future__ import annotations

import math

import torch

__all__ = [
    "bound_of",
    "coefficient_dtype",
    "feedback",
    "limited",
    "noise_gain",
    "reflection",
    "reflection_of",
    "rounded",
    "stable_scale",
    "stable_weight",
    "surely_stable",
    "wide",
    "wide_dtype",
]

_TRIALS = 4


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return `tensor` in the precision that coefficients are built in: float64 where the device has it."""
    return tensor.to(wide_dtype(tensor.device))


def wide_dtype(device: torch.device) -> torch.dtype:
    """Return the precision that coefficients are built in on a device."""
    return torch.float32 if device.type == "mps" else torch.float64


def coefficient_dtype(weight: torch.Tensor, compute_dtype: str | None = None) -> torch.dtype:
    """Return the dtype of coefficients made from `weight`: its own, but at least the one that is computed in."""
    return torch.float64 if weight.dtype == torch.float64 or compute_dtype == "float64" else torch.float32


def rounded(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Round to `dtype`, and go on in the wide precision."""
    return wide(tensor.to(dtype))


def limited(weight: torch.Tensor, bound: float) -> torch.Tensor:
    """Scale weights beyond ±bound back onto it.

    The scale is a constant to autograd: within the bound the gradient is exact, and beyond it never
    vanishes, so that training can come back.
    """
    return weight / (weight.detach().abs() / bound).clamp_min(1.0)


def stable_weight(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the weights (C, p) as (p, C) in wide, scaled down, if need be, until the filter in `dtype` is stable.

    Up to order 2 a bound on each one suffices: for 1 - |k| ≥ 2·eps the rounded a = [k1·(1+k2), k2] obeys
    |a1| < 1 + a2. From order 3 on the rounded filter is tried.
    """
    bound = bound_of(dtype)
    inside = limited(wide(weight.T), bound)
    return inside if len(inside) <= 2 else inside * stable_scale(inside.detach(), dtype, bound)


def bound_of(dtype: torch.dtype) -> float:
    """Return how far each reflection weight of a filter in `dtype` goes."""
    return 0.5 * math.log(1.0 / torch.finfo(dtype).eps)


def reflection(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the reflection coefficients (p, C) of weights (C, p), rounded to `dtype`, in wide."""
    return rounded(torch.tanh(stable_weight(weight, dtype)), dtype)


def noise_gain(k: torch.Tensor) -> torch.Tensor:
    """Return (1, C), by how much the all-pole filters of reflection coefficients (p, C) scale white noise.

    The power of a linear predictor's error is Π(1 - k²) of its signal's.
    """
    return torch.exp(-0.5 * torch.log1p(-k * k).sum(0, keepdim=True))


def feedback(k: torch.Tensor) -> torch.Tensor:
    """Return the feedback (p, …) of reflection coefficients (p, …): the Levinson step-up recursion."""
    if len(k) < 2:
        return -k
    a = torch.cat([k[:1] * (1 + k[1:2]), k[1:2]])
    for m in range(2, len(k)):
        last = k[m : m + 1]
        a = torch.cat([torch.addcmul(a, last, a.flip(0)), last])
    return -a


def reflection_of(taps: torch.Tensor) -> torch.Tensor:
    """Return the reflection coefficients of feedback taps (p, …): the step-down recursion.

    The filter is stable where all of them are within (-1, 1); elsewhere they may be inf or NaN.
    """
    a, found = -taps, []
    for _ in range(len(taps)):
        last, rest = a[-1:], a[:-1]
        found.append(last)
        a = torch.addcmul(rest, last, rest.flip(0), value=-1) / (1 - last * last)
    return torch.cat(found[::-1]) if found else taps


def stable_scale(weight: torch.Tensor, dtype: torch.dtype, bound: float) -> torch.Tensor:
    """Return (1, C), the largest tried scale of weights (p, C) whose feedback is stable rounded to `dtype`.

    It is where the rounded filter still has almost its reflection coefficients: none has moved by a good
    part of its distance to the circle.
    """
    sure = _sure_scale(weight, bound).clamp_max(1.0)
    steps = torch.linspace(0.0, 1.0, _TRIALS, dtype=weight.dtype, device=weight.device)
    scales = torch.lerp(sure, torch.ones_like(sure), steps.unsqueeze(-1))
    k = rounded(torch.tanh(scales * weight.unsqueeze(1)), dtype)
    moved = (reflection_of(rounded(feedback(k), dtype)) - k).abs()
    # the trial rounds too: where it is no wider than the filter it must leave more room
    share = 0.5 if torch.finfo(dtype).eps > torch.finfo(weight.dtype).eps else 0.01
    stable = (moved < share * (1.0 - k.abs())).all(0)
    return torch.where(stable, scales, sure).amax(0, keepdim=True)


def surely_stable(weight: torch.Tensor, bound: float) -> bool:
    """Whether weights (p, C) are seen to need no trial; on other devices than the host they are not looked at."""
    return weight.is_cpu and bool((_sure_scale(weight, bound) >= 1.0).all())


def _sure_scale(weight: torch.Tensor, bound: float) -> torch.Tensor:
    # rounding errs by at most eps/2·Σ|a| ≤ eps/2·Π(1+|k|), and |A| ≥ Π(1-|k|) on the circle: by Rouché stable
    # where Σ|weight| < ½·log(2/eps). three quarters of it leave room for the recursion's own rounding
    return 0.75 * bound / weight.abs().sum(0)
