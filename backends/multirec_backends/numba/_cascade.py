"""Cascades of second-order sections: the part of the kernel object that takes canonical arrays to machine code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import Allocate, Cascade, CascadeOperands, CascadeResult

from ._cascade_plan import plan

Signal = npt.NDArray[Any]


class Cascades:
    """Forward and gradient of fused sections, for any strides."""

    def cascades(self, cascade: Cascade) -> bool:
        return cascade.sections > 0

    def cascade(self, cascade: Cascade, operands: CascadeOperands, allocate: Allocate) -> CascadeResult:
        x, taps, memory = operands
        y: Signal = allocate(cascade.channels, cascade.y_dtype)
        batch, channels, sections = cascade.batch, cascade.channels, cascade.sections
        if not y.size:
            after = np.zeros((batch, channels, sections, 2), cascade.state_dtype)
            ends = np.zeros_like(after)
            if memory is not None:
                after[...] = memory
            return CascadeResult(y, after, ends)
        after, ends = np.empty((2, batch, channels, 2 * sections), cascade.state_dtype)
        before = None if memory is None else memory.reshape(batch, channels, 2 * sections)
        given = (x, y, taps.reshape(*taps.shape[:2], 5 * sections), before, after, ends)
        plan(cascade).launch.run((), given)
        shape = batch, channels, sections, 2
        return CascadeResult(y, after.reshape(shape), ends.reshape(shape))
