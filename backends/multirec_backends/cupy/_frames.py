"""Coefficients that come at a frame rate: their programs, and the part of the kernel object that runs them."""

from __future__ import annotations

from typing import Any, TypeAlias

from multirec.backend import Allocate, Framed, Gradients, Needs, Operands

from ._computation import Computation, Device, keep
from ._pack import Framing
from ._plan.frames import plan
from ._results import gradients

Array: TypeAlias = Any

_MOST = 256


class Frames:
    """Forward and gradient, for any strides."""

    _device: Device

    def __init__(self, device: Device) -> None:
        self._of_frames: dict[tuple[Framed, int], Computation] = {}

    def frames(self, framed: Framed) -> bool:
        return plan(framed) is not None

    def _framed(self, framed: Framed, offset: int) -> Computation:
        key = framed, offset
        found = self._of_frames.get(key)
        if found is None:
            chosen, problem = plan(framed), framed.problem
            assert chosen is not None
            made = Computation(problem, chosen, self._device.queue(problem))
            made.framing = Framing(framed.hop, offset, 1 / framed.hop if framed.linear else 0.0)
            found = keep(self._of_frames, _MOST, key, made)
        return found

    def forward_frames(
        self, framed: Framed, operands: Operands, offset: int, allocate: Allocate
    ) -> tuple[Array, Array]:
        problem, computation = framed.problem, self._framed(framed, offset)
        y = allocate(problem.channels, problem.y_dtype)
        last = computation.queue.empty((problem.batch, problem.channels, problem.order), problem.state_dtype)
        kept = max(problem.order - problem.length, 0)
        if kept:
            # of a short block some of the past outputs stay
            last[..., :kept] = 0 if operands.outputs is None else operands.outputs[..., problem.length :]
        computation.forward(operands, (y, None, last[..., kept:]))
        return y, last

    def vjp_frames(
        self,
        framed: Framed,
        operands: Operands,
        offset: int,
        y: Array,
        grad_y: Array,
        grad_last: Array | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        problem, computation = framed.problem, self._framed(framed, offset)
        found = gradients(computation.queue, problem, problem.batch, needs, allocate)
        kept = max(problem.order - problem.length, 0)
        own = grad_last if grad_last is None else grad_last[..., kept:]
        computation.backward(operands, (y, grad_y, own), found)
        if computation.is_empty:
            for taps in (found.feedforward, found.feedback):
                if taps is not None:
                    taps[...] = 0
        if kept and found.outputs is not None and grad_last is not None:
            found.outputs[..., problem.length :] += grad_last[..., :kept]
        return found
