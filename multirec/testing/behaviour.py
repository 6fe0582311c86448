"""Checks of what a backend does beyond one call on good data: resume, and leave the range of numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .asserts import mismatch, poisoned
from .oracle import expected
from .problems import Arguments, Case, Wide, arguments, from_canonical, to_canonical
from .subject import Subject, Tally, is_computed, note

__all__ = ["non_finite_inputs", "resuming", "unstable_filters"]


def resuming(subject: Subject) -> Tally:
    """A call continued with the returned state gives what one call on the whole gives."""
    tally = Tally()
    every = tuple(range(1, 13))
    for layout, reverse, shared, compute_dtype, cuts in (
        ("BCT", False, False, None, (5,)),
        ("BTC", True, True, None, (1, 12)),
        ("TBC", False, True, None, every),
        ("BCT", True, False, None, every),
        ("BTC", False, False, "float64", every),
    ):
        case = subject.fitted(
            Case(
                dtype=subject.dtype,
                layout=layout,  # type: ignore[arg-type]
                reverse=reverse,
                shared=shared,
                compute_dtype=compute_dtype,  # type: ignore[arg-type]
            )
        )
        if not is_computed(subject, case, tally):
            continue
        given = arguments(case)
        want = expected(case)
        edges = [0, *cuts, case.length]
        blocks = list(pairwise(edges))
        x = to_canonical(given.x, layout)  # type: ignore[arg-type]
        operands = subject.library.operands(case, given)
        parts = []
        for start, stop in reversed(blocks) if reverse else blocks:
            operands[0] = subject.library.put(from_canonical(x[..., start:stop], case.layout), case.dtype)
            with poisoned():
                y, state = subject.library.call(case, subject.backend, operands)
            operands[3:] = state
            parts.append(to_canonical(subject.library.get(y), case.layout))
        whole = from_canonical(np.concatenate(parts[::-1] if reverse else parts, -1), case.layout)
        note(tally, case, mismatch(f"y cut at {cuts}", whole, want.values["y"], want.bounds["y"]))
        for name, part in zip(("state.inputs", "state.outputs"), state, strict=True):
            note(tally, case, mismatch(name, subject.library.get(part), want.values[name], want.bounds[name]))
    return tally


def unstable_filters(subject: Subject) -> Tally:
    """An unstable channel is right until its values leave the range, then never finite again; others are untouched."""
    tally = Tally()
    limit = 1e30 if subject.dtype == "float32" else 1e300
    for order, growth in ((1, 4.0), (2, 1.7)):
        length = int(np.log(limit) / np.log(growth) * 1.4)
        case = Case(dtype=subject.dtype, order=order, feedforward="none", state="none", length=length, radius=0.5)
        given = arguments(case)
        assert given.feedback is not None
        feedback = given.feedback.copy()
        feedback[1] = [growth] if order == 1 else [growth + 0.5, -growth * 0.5]
        _check_spoilt(subject, case, given._replace(feedback=feedback), limit, tally)
    return tally


def non_finite_inputs(subject: Subject) -> Tally:
    """A NaN or infinity in x spoils its own channel from its sample on, and nothing else."""
    tally = Tally()
    for value in (np.nan, np.inf):
        case = subject.fitted(Case(dtype=subject.dtype, feedforward="none", state="none", length=150, radius=0.5))
        if not case.order:
            # nothing is fed back
            continue
        given = arguments(case)
        x = given.x.copy()
        x[0, 1, 77] = value
        _check_spoilt(subject, case, given._replace(x=x), 1e30, tally)
    return tally


def _check_spoilt(subject: Subject, case: Case, given: Arguments, limit: float, tally: Tally) -> None:
    if not is_computed(subject, case, tally):
        return
    library = subject.library
    with poisoned(), np.errstate(all="ignore"):
        got = library.get(library.call(case, subject.backend, library.operands(case, given))[0])
    want, bound = _forward_only(case, given)
    for index in np.ndindex(want.shape[:2]):
        left = np.flatnonzero(~(np.abs(want[index]) <= limit))
        stop = int(left[0]) if left.size else case.length
        note(
            tally,
            case,
            mismatch(
                f"y[{index}] before it leaves the range", got[index][:stop], want[index][:stop], bound[index][:stop]
            ),
        )
        after = got[index][stop:]
        plausible = np.flatnonzero(np.abs(after) < limit / 2)
        if plausible.size:
            note(
                tally, case, f"y[{index}] looks finite at sample {stop + plausible[0]}, having left the range at {stop}"
            )
        finite = np.isfinite(after)
        lost = int(np.argmin(finite)) if not finite.all() else finite.size
        if finite[lost:].any():
            note(tally, case, f"y[{index}] is finite again after sample {stop + lost}, where it was not")


def _forward_only(case: Case, given: Arguments) -> tuple[Wide, Wide]:
    """Return y of a static feedback in float64, and the errors that sequential rounding may have made."""
    assert given.feedback is not None
    y = np.zeros(given.x.shape)
    with np.errstate(all="ignore"):
        for t in range(case.length):
            y[..., t] = given.x[..., t]
            for k in range(1, min(case.order, t) + 1):
                y[..., t] += given.feedback[:, k - 1] * y[..., t - k]
        unit = 2.0**-24 if case.dtype == "float32" else 2.0**-53
        largest = np.maximum.accumulate(np.abs(np.nan_to_num(y, nan=0, posinf=0, neginf=0)), -1)
    steps: Wide = np.arange(1, case.length + 1)
    return y, 16 * (case.order + 1) * unit * steps * (largest + 1)
