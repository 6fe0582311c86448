"""A kernel that computes each sequence alone, by the reference; and faults that it may have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo, Gradients, Needs, Operands
from multirec.reference import kernel as right
from multirec.reference import narrow


class Run:
    """A stretch of one row, and which state enters and which leaves it."""

    def __init__(self, row: int, start: int, stop: int) -> None:
        self.row, self.start, self.stop = row, start, stop
        self.given: int | None = None
        self.kept: int | None = None

    def cut(self, problem: Any, operands: Operands) -> tuple[Any, Operands]:
        """Return the problem of the stretch alone."""
        row, time = slice(self.row, self.row + 1), slice(self.start, self.stop)
        x = operands.x[row, :, time]
        taps, own = [], []
        for part, of in ((operands.feedforward, problem.feedforward), (operands.feedback, problem.feedback)):
            if part is not None:
                part = part[row] if part.shape[0] > 1 else part
                part = part[:, :, time] if part.shape[2] > 1 else part
                of = replace(of, batch=1, time=part.shape[2])
            taps.append(part)
            own.append(of)
        states = (
            None if part is None or self.given is None else part[self.given : self.given + 1] for part in operands[3:]
        )
        alone = replace(problem, batch=1, length=self.stop - self.start, feedforward=own[0], feedback=own[1])
        return alone, Operands(x, *taps, *states)


def runs_of(problem: Any, numbers: Any, count: int | None) -> tuple[list[Run], list[int]]:
    """Return the stretches, and the states that nothing touches."""
    runs: list[Run] = []
    found: set[int] = set()
    for row in range(problem.batch):
        own = []
        for number in np.unique(numbers[row][numbers[row] >= 0]):
            at = np.flatnonzero(numbers[row] == number)
            run = Run(row, at[0], at[-1] + 1)
            if count is not None:
                run.given = run.kept = int(number)
                found.add(int(number))
            own.append(run)
        if count is None and own:
            found.add(row)
            joined = numbers[row, own[0].start] == 0
            if problem.reverse:
                own[-1].given = row
                own[0].kept = row if joined else None
            else:
                own[0].given = row if joined else None
                own[-1].kept = row
        runs += own
    states = problem.batch if count is None else count
    return runs, [state for state in range(states) if state not in found]


class Separate:
    """Right, one sequence at a time."""

    forward, vjp = right.forward, right.vjp

    def sequences(self, problem: Any, count: int | None) -> bool:
        return True

    def forward_sequences(self, problem: Any, operands: Any, numbers: Any, count: Any, allocate: Any) -> Any:
        y = allocate(problem.channels, problem.y_dtype)
        y[...] = 0
        runs, untouched = runs_of(problem, numbers, count)
        states = problem.batch if count is None else count
        last = np.zeros((states, problem.channels, problem.order), problem.state_dtype)
        for run in runs:
            alone, own = run.cut(problem, operands)
            found = right.wide_forward(alone, own)
            y[run.row, :, run.start : run.stop] = narrow(found, problem.y_dtype)[0]
            if run.kept is not None and problem.order:
                past = np.zeros((1, *last.shape[1:])) if own.outputs is None else own.outputs
                both = [past, found][:: -1 if problem.reverse else 1]
                whole = np.concatenate(both, -1)
                p = problem.order
                last[run.kept] = (whole[..., :p] if problem.reverse else whole[..., whole.shape[-1] - p :])[0]
        if operands.outputs is not None:
            last[untouched] = operands.outputs[untouched]
        return y, last

    def vjp_sequences(
        self, problem: Any, operands: Any, numbers: Any, count: Any, y: Any, grad_y: Any, grad_last: Any, needs: Any,
        allocate: Any,
    ) -> Any:  # fmt: skip
        kind = np.complex128 if problem.is_complex else np.float64
        wide_x = np.complex128 if problem.dtype in COMPLEX_DTYPES else np.float64
        to_x = allocate(problem.x_channels, problem.dtype)
        to_x[...] = 0
        to_taps = [
            None if part is None else np.zeros(part.shape, part.dtype)
            for part in (operands.feedforward, operands.feedback)
        ]
        runs, untouched = runs_of(problem, numbers, count)
        to_states = [
            None if part is None else np.zeros(part.shape, own)
            for part, own in ((operands.inputs, wide_x), (operands.outputs, kind))
        ]
        for run in runs:
            alone, own = run.cut(problem, operands)
            few = min(problem.order, alone.length)
            of_last = of_past = None
            if grad_last is not None and run.kept is not None:
                part = grad_last[run.kept : run.kept + 1]
                place = slice(0, few) if problem.reverse else slice(problem.order - few, None)
                rest = slice(few, None) if problem.reverse else slice(0, problem.order - few)
                of_last, of_past = part[..., place], part[..., rest]
            own_y, own_grad = (part[run.row : run.row + 1, :, run.start : run.stop] for part in (y, grad_y))
            found = right.vjp(alone, own, own_y, own_grad, of_last, Needs(*[True] * 5), allocate)
            to_x[run.row, :, run.start : run.stop] = found.x[0]
            for whole, part in zip(to_taps, found[1:3], strict=True):
                if whole is not None:
                    time = slice(run.start, run.stop) if whole.shape[2] > 1 else slice(None)
                    whole[run.row if whole.shape[0] > 1 else 0, :, time] += part[0].astype(whole.dtype)
            for whole, part in zip(to_states, found[3:], strict=True):
                if whole is not None and run.given is not None:
                    whole[run.given] += part[0]
            if of_past is not None and to_states[1] is not None and run.given is not None:
                gap = of_past.shape[-1]
                place = slice(problem.order - gap, None) if not problem.reverse else slice(0, gap)
                to_states[1][run.given, :, place] += of_past[0]
        if to_states[1] is not None and grad_last is not None:
            to_states[1][untouched] += grad_last[untouched]
        found = Gradients(to_x, *to_taps, *to_states)
        return Gradients(*(part if need else None for part, need in zip(found, needs, strict=True)))


kernel = Separate()

info = BackendInfo(
    name="separate",
    summary="each sequence alone",
    kernel="separate:kernel",
    family="numpy",
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    wide=True,
)
