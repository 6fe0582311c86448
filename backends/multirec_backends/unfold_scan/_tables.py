"""A block of samples as matrices.

With L samples u of the feedforward part and the p outputs c before them, a block of outputs is

    y = H u + P c           H[l, i] = h[l-i], h the impulse response; P[l] the response to each past output

and its own last p outputs are the next c. So over blocks c' = M c + e, where M is the last p rows of P and
e those of H u: the same recurrence again, with vectors for samples and L times fewer of them. It gets the same
treatment: G blocks make a group, whose carries are

    c[j] = Σ_{i<j} M^(j-1-i) e[i] + M^j c[0]         j = 0 … G

Every table is computed in float64 from the rounded coefficients, and rounded once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Responses", "Tables", "block_length", "build_tables", "group_length", "responses"]

_LONGEST_BLOCK = 64
_LONGEST_GROUP = 16


class Tables(NamedTuple):
    """The matrices of S filters, transposed to multiply rows from the right."""

    response: Tensor
    """H, (S, L, L)."""
    decay: Tensor
    """P, (S, p, L)."""
    mix: Tensor
    """M^(j-1-i), (S, G·p, (G+1)·p)."""
    reach: Tensor
    """M^j, (S, p, (G+1)·p)."""


def block_length(order: int, samples: int) -> int:
    """Return L, at least the order, such that the tables of a filter are smaller than its `samples` outputs."""
    length = 1
    while length < order or (length < _LONGEST_BLOCK and 8 * length * length <= samples):
        length *= 2
    return length


def group_length(order: int, block: int) -> int:
    """Return G, such that the matrices of carries stay about as large as those of samples."""
    return max(2, min(_LONGEST_GROUP, block // order))


class Responses(NamedTuple):
    """How S filters answer over a block, in float64."""

    impulse: Tensor
    """h, (S, L)."""
    decay: Tensor
    """P, (S, L, p)."""


def responses(feedback: Tensor, length: int) -> Responses:
    """Return the responses of `feedback` (S, p) over a block of `length`, stepped from sample to sample."""
    # mps has no float64
    exact = feedback.to("cpu" if feedback.device.type == "mps" else feedback.device)
    exact = exact.to(torch.complex128 if feedback.is_complex() else torch.float64)
    sets, p = exact.shape
    rows = exact.new_zeros(sets, p + length, p + 1)  # p past outputs, the block; their responses to c and to u[0]
    rows[:, :p, :p] = torch.eye(p, dtype=rows.dtype, device=rows.device)
    rows[:, p, p] = 1
    newest_last = exact.flip(1)[:, None]
    for t in range(p, p + length):
        rows[:, t : t + 1] += newest_last @ rows[:, t - p : t]
    return Responses(rows[:, p:, p], rows[:, p:, :p])


def build_tables(
    answers: Responses, reverse: bool, device: torch.device, dtype: torch.dtype, wide: torch.dtype
) -> Tables:
    """Return the tables of filters, on `device`: H and P in `dtype`, the carries' in `wide`."""
    impulse, decay = answers
    _, length, p = decay.shape
    response = _toeplitz(impulse[:, :, None, None], 0)
    powers = [torch.eye(p, dtype=decay.dtype, device=decay.device).expand(len(decay), p, p)]
    for _ in range(group_length(p, length)):
        powers.append(decay[:, -p:] @ powers[-1])
    reach = torch.stack(powers, 1)
    mix, reach = _toeplitz(reach, 1), reach.reshape(len(decay), -1, p)

    def finished(table: Tensor, dtype: torch.dtype) -> Tensor:
        in_memory = table.flip(1, 2) if reverse else table
        return in_memory.mT.contiguous().to(device, dtype)

    response, decay = finished(response, dtype), finished(decay, dtype)
    return Tables(response, decay, finished(mix, wide), finished(reach, wide))


def _toeplitz(steps: Tensor, delay: int) -> Tensor:
    """Lay (S, n, r, r) out as the block matrix whose entry (l, i) is steps[l - i - delay], zero above."""
    sets, n, r, _ = steps.shape
    ago = torch.arange(n, device=steps.device)[:, None] - torch.arange(n - delay, device=steps.device) - delay
    blocks = torch.where((ago >= 0)[:, :, None, None], steps[:, ago.clamp(min=0)], 0)
    return blocks.transpose(2, 3).reshape(sets, n * r, (n - delay) * r)
