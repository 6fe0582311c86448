"""What a case must give: values and gradients in float64, and the largest error that rounding explains.

The reference is asked in its plainest form only: axes batch, channels, time; coefficients for every sample; dense
input; time that runs forward. Layouts, broadcasting, shared inputs and reversed time are undone here, by other
code than the library's.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from ..backend import Gradients, Operands, Problem, Taps
from ..reference import kernel
from ._apart import apart
from ._canonical import Canonical, Expected, canonical_arguments, stored_dtype, user_results
from ._large import expected_of_large
from ._rounding import LEAST, ROUNDOFF, Results, error_bounds
from .problems import Arguments, Case, Wide, arguments

__all__ = ["Expected", "evaluate", "expected", "values_of"]

SLACK = 4
"""Rounding errors that a kernel may make for each one that the bound counts: sums, complex products, blocks."""


LARGE = 1 << 20
"""Rows times T², of which rounding's bounds need several numbers: above it they come of steps."""


def expected(case: Case) -> Expected:
    """Return what `case` must give; remembered, since every backend is asked the same.

    Bounds are what rounding can do at most. Those of large problems are four times what it does to steps in the same
    precision, one sample after the other: they take time and memory that grow with a problem's size alone.

    Example
    -------
    >>> expected(Case(batch=(), channels=1, length=4)).values["y"].shape
    (1, 4)
    """
    is_large = case.marks == "none" and prod(case.batch) * case.y_channels * case.length**2 > LARGE
    return _expected_of_large(case) if is_large else _expected(case)


@lru_cache(maxsize=4096)
def _expected(case: Case) -> Expected:
    given = arguments(case)
    return evaluate(case, given) if case.marks == "none" else Expected(*apart(case, given, evaluate))


# megabytes each
_expected_of_large = lru_cache(maxsize=32)(expected_of_large)


def evaluate(case: Case, own: Arguments) -> Expected:
    """Return what a problem described by `case` must give with values of one's own."""
    given = canonical_arguments(case, own)
    values, terms, grad_y = _run(given, case)
    unit = ROUNDOFF[case.precision]
    steps = SLACK * (case.p + case.q + 2)
    kept = ROUNDOFF[case.y_dtype] / unit / steps * np.abs(values.y[..., case.p :])
    bounds = error_bounds(values, given.feedforward, given.feedback, grad_y, kept)
    named, errors, parts = (user_results(case, results) for results in (values, bounds, terms))
    limits = {}
    for name, part in parts.items():
        stored = stored_dtype(case, name)
        # rounded where it is stored, and again where the gradient of a state is added to it
        limits[name] = steps * unit * errors[name] + 2 * ROUNDOFF[stored] * np.abs(part) + 2 * LEAST[stored]
    limits["state.inputs"] = np.zeros(named["state.inputs"].shape)  # a copy
    return Expected(named, limits)


def values_of(case: Case, own: Arguments) -> dict[str, Wide]:
    """Return the values of `evaluate` alone: bounds take most of its time."""
    return user_results(case, _run(canonical_arguments(case, own), case)[0])


def _run(given: Canonical, case: Case) -> tuple[Results, Results, Wide]:
    """Return the results of the reference, the magnitudes that they are added from, and the whole gradient of y."""
    p, q = case.p, case.q
    operands = Operands(given.x, given.feedforward, given.feedback, given.inputs, given.outputs)
    problem = _plain_problem(given)
    y = np.concatenate([given.outputs, kernel.wide_forward(problem, operands)], -1)
    tail_y = np.zeros_like(y)
    tail_y[..., y.shape[-1] - p :] = given.grad_outputs
    grad_y = given.grad_y + tail_y[..., p:]
    if {"x", "feedforward", "feedback", "state"} <= set(case.frozen):
        found = Gradients(*map(np.zeros_like, operands))
    else:
        found = kernel.wide_vjp(problem, operands, grad_y)
    grad_x = np.concatenate([found.inputs, found.x], -1)
    tail_x = np.zeros_like(grad_x)
    tail_x[..., grad_x.shape[-1] - q :] = given.grad_inputs
    x = np.concatenate([given.inputs, given.x], -1)
    past, taps = tail_y[..., :p], (np.asarray(found.feedforward), np.asarray(found.feedback))
    results = Results(x, y, grad_x + tail_x, found.outputs + past, *taps)
    terms = Results(x, y, np.abs(grad_x) + np.abs(tail_x), np.abs(np.asarray(found.outputs)) + np.abs(past), *taps)
    return results, terms, grad_y


def _plain_problem(given: Canonical) -> Problem:
    dtype, (batch, channels, length) = given.x.dtype.name, given.x.shape
    q, p = given.feedforward.shape[-1], given.feedback.shape[-1]
    b, a = (Taps(batch, channels, length, taps, dtype) for taps in (q, p))
    return Problem("numpy", "cpu", dtype, dtype, "float64", "BCT", False, batch, channels, length, channels, b, a)
