"""One torch step a sample.

    u[t] = Σ_j feedforward[j] · x[t-j]              for all t at once
    y[t] = u[t] + Σ_k feedback[k] · y[t-k]          one sample after the other

The steps run in a time-major buffer that begins with the state: a step then touches p + 1 contiguous
slices, and every slice is made once, before the loop. Time that runs backwards is the list of slices
read from its other end. Memory: y and this buffer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from multirec.backend import Allocate, Operands, Problem

from ._activated import ActivatedSteps

__all__ = ["TorchLoop", "kernel"]


class TorchLoop(ActivatedSteps):
    """A forward-only kernel: `multirec.adjoint` derives its gradient."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Tensor | tuple[Tensor, Tensor]:
        """Return y (B, C, T), and its last samples where they were computed in a wider type."""
        y: Tensor = allocate(problem.channels, problem.y_dtype)
        p, length = problem.order, problem.length
        # y's type is storage: every product and sum is in that of the state
        dtype = getattr(torch, problem.state_dtype)
        signal = torch.zeros((p + length, *y.shape[:2]), dtype=dtype, device=y.device)
        past, block = slice(0, p), slice(p, None)
        if problem.reverse:
            past, block = slice(length, None), slice(0, length)
        if operands.outputs is not None:
            signal[past] = operands.outputs.movedim(-1, 0)
        add_feedforward(problem, operands, signal[block].movedim(0, -1))
        if operands.feedback is not None:
            add_feedback(operands.feedback, signal, problem.reverse)
        y.copy_(signal[block].movedim(0, -1))
        if dtype == y.dtype:
            return y
        count = min(p, length)
        last = signal[:count] if problem.reverse else signal[len(signal) - count :]
        return y, last.movedim(0, -1)


def add_feedforward(problem: Problem, operands: Operands, u: Tensor) -> None:
    """Add Σ_j feedforward[j] · x[t-j] to `u` (B, C, T)."""
    x, taps, past = operands.x, operands.feedforward, operands.inputs
    if taps is None:
        u.add_(x)
        return
    q, length = problem.input_order, problem.length
    for j in range(q + 1):
        tap = taps[..., j].expand(-1, -1, length)
        new = max(length - j, 0)  # samples that see the block j back; the other ones see the state
        if problem.reverse:
            u[..., :new].addcmul_(tap[..., :new], x[..., j:])
            if past is not None:
                u[..., new:].addcmul_(tap[..., new:], past[..., j - length + new : j])
        else:
            old = length - new
            u[..., old:].addcmul_(tap[..., old:], x[..., :new])
            if past is not None:
                u[..., :old].addcmul_(tap[..., :old], past[..., q - j : q - j + old])


def add_feedback(feedback: Tensor, signal: Tensor, reverse: bool) -> None:
    """Run the recurrence in place over `signal`, p past outputs and then the block, (p + T, B, C)."""
    p = feedback.shape[-1]
    samples = signal.unbind(0)
    steps = [taps.unbind(-1) for taps in feedback.unbind(2)]
    if reverse:
        samples, steps = samples[::-1], steps[::-1]
    if len(steps) == 1:
        steps = steps * (len(samples) - p)
    for t, taps in enumerate(steps, start=p):
        for k in range(p):
            samples[t].addcmul_(taps[k], samples[t - 1 - k])


kernel = TorchLoop()
