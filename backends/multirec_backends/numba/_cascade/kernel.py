"""Cascades of second-order sections: the part of the kernel object that takes canonical arrays to machine code."""

from __future__ import annotations

import numpy as np

from multirec.backend import Allocate, Cascade, CascadeGradients, CascadeNeeds, CascadeOperands, CascadeResult, address

from .._run.gather import SUMS, Signal, assign_shared, fit
from .plan import plan


class Cascades:
    """Forward and gradient of fused sections, for any strides."""

    def cascades(self, cascade: Cascade) -> bool:
        return cascade.sections > 0

    def cascade(self, cascade: Cascade, operands: CascadeOperands, allocate: Allocate) -> CascadeResult:
        x, taps, memory = operands
        y: Signal = allocate(cascade.channels, cascade.y_dtype)
        if not y.size:
            shape = cascade.batch, cascade.channels, cascade.sections, 2
            same = np.zeros(shape, cascade.state_dtype) if memory is None else memory.copy()
            return CascadeResult(y, same, np.zeros(shape, cascade.state_dtype))
        planned = plan(cascade)
        after, ends = np.empty(planned.delays, planned.state), np.empty(planned.delays, planned.state)
        planned.launch.run((), (x, y, taps, memory, after, ends))
        return CascadeResult(y, after, ends)

    def cascade_vjp(
        self,
        cascade: Cascade,
        operands: CascadeOperands,
        grad_y: Signal,
        grad_memory: Signal | None,
        grad_ends: Signal | None,
        needs: CascadeNeeds,
        allocate: Allocate,
    ) -> CascadeGradients:
        x, taps, memory = operands
        batch, channels, sections = cascade.batch, cascade.channels, cascade.sections
        to_x: Signal | None = allocate(cascade.x_channels, cascade.dtype) if needs.x else None
        to_taps = np.zeros((batch, channels, sections, 5), SUMS[cascade.state_dtype]) if needs.taps else None
        to_memory = np.empty((batch, channels, sections, 2), cascade.state_dtype) if needs.memory else None
        if grad_y.size:
            planned, rows, extra, into = plan(cascade, needs), None, (0, 0), to_x
            if needs.x and cascade.shared and planned.slices:
                rows, into = np.empty((planned.slices, batch, planned.padded), cascade.state_dtype), None
                extra = (address(rows), rows.strides[1])
            elif needs.x and cascade.shared:
                rows = np.empty((channels, batch, cascade.length), cascade.state_dtype)
                into = rows.transpose(1, 0, 2)
            given = (x, grad_y, into, taps, memory, grad_memory, grad_ends, to_taps, to_memory)
            planned.launch.run(extra, given, rows)
            if rows is not None:
                # partial rows are in running order
                assign_shared(to_x, rows, cascade.dtype, flip=cascade.reverse and planned.slices > 0)
        else:
            for target, value in ((to_x, 0), (to_memory, 0 if grad_memory is None else grad_memory)):
                if target is not None:
                    target[...] = value
        if to_taps is not None:
            to_taps = fit(to_taps, cascade.taps_batch, cascade.taps_channels, cascade.taps_dtype)
        return CascadeGradients(to_x, to_taps, to_memory)
