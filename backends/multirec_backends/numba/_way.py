"""Which way arrays go: in tiles, by rows of time, or row by row as they lie. Shapes and strides decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multirec.backend import Needs, Problem, num_threads

from ._recurrence.plan import Plan, plan
from ._scalar.plan import neighbours, scalar
from ._sweep.plan import swept

_ENOUGH = 4
"""Rows that are a vector at least, if rows of time could be taken."""


def plan_for(
    problem: Problem, needs: Needs | None, signals: Sequence[Any], taps: Sequence[Any], grad_y: Any = None
) -> Plan:
    """Plan a problem for arrays, of which some may be None.

    The gradient of y may also be that of a sum, which is the same at all times.
    """
    planned = plan(problem, needs)
    if not (planned.may_sweep or planned.side):
        return planned
    there = [array for array in taps if array is not None]
    direct = planned.side > 0 and all(array.shape[3] == 1 or array.strides[3] == array.itemsize for array in there)
    together = neighbours(problem, (*signals, *there), grad_y) if direct else 1
    # what does not fill a vector, rows of time take with masks
    if planned.may_sweep and together < _ENOUGH:
        varying = (array for array in there if array.shape[2] > 1)
        signals = [array for array in signals if array is not None]
        # the stride of a single channel says nothing
        rows = all(
            array.shape[1] == problem.channels and array.strides[1] == array.itemsize for array in (*signals, *varying)
        )
        rows &= grad_y is None or not grad_y.strides[2] or grad_y.strides[1] == grad_y.itemsize
        if rows:
            return swept(problem, needs, num_threads())
    return scalar(problem, needs, together) if direct else planned
