"""What a large problem must give: what rounding can do at most takes T² numbers a row, what it does to steps T.

Each limit is four times the largest error that stepping sample by sample in the problem's own precision makes in the
same row of a signal, or in all of any other result; and four units in the last place of what is largest there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._canonical import Canonical, Expected, canonical_arguments, stored_dtype, user_results
from ._rounding import LEAST, ROUNDOFF, Results
from ._stepping import Rows, step
from ._where import axes_of
from .problems import Case, Wide, arguments

__all__ = ["expected_of_large"]

SLACK = 4
_WIDER = {"float32": np.float64, "complex64": np.complex128, "float64": np.longdouble, "complex128": np.clongdouble}


def expected_of_large(case: Case) -> Expected:
    """Return what a case must give, and the largest errors allowed, in time and memory that grow with its size alone.

    Where a system's long double is float64, truth is one order of operations in float64, and errors are what another
    order differs by.

    Example
    -------
    >>> found = expected_of_large(Case(channels=70, length=50))
    >>> float((found.bounds["y"] / np.abs(found.values["y"]).max()).max()) < 1e-13
    True
    """
    given, precision = canonical_arguments(case, arguments(case)), case.state_dtype
    truth = _stepped(case, given, _WIDER[precision])
    stored = None if case.y_dtype == precision else case.y_dtype
    ways = [_stepped(case, given, precision, stored=stored, descending=descending) for descending in (False, True)]
    values, bounds = {}, {}
    for name, true in truth.items():
        error = np.maximum(*(np.abs(way[name] - true) for way in ways))
        value = values[name] = true.astype(np.complex128 if np.iscomplexobj(true) else np.float64)
        over = axes_of(case, name).index("sample") if name in ("y", "gradient of x") else None
        each, largest = (part.max(axis=over, keepdims=True, initial=0) for part in (error, np.abs(value)))
        most = SLACK * (each + np.finfo(precision).eps * largest).astype(np.float64)
        kept = stored_dtype(case, name)
        bounds[name] = most + 2 * ROUNDOFF[kept] * np.abs(value) + 2 * LEAST[kept]
    bounds["state.inputs"] = np.zeros(values["state.inputs"].shape)  # a copy
    return Expected(values, bounds)


def _stepped(case: Case, given: Canonical, precision: Any, **way: Any) -> dict[str, Wide]:
    """Return every result by name, as stepping in one precision gives it."""
    varies = "time_varying" in (case.feedforward, case.feedback)
    taps = (
        getattr(given, name) if getattr(case, name) == "time_varying" else getattr(given, name)[:, :, 0]
        for name in ("feedforward", "feedback")
    )
    tails = (given.inputs, given.outputs, given.grad_y, given.grad_inputs, given.grad_outputs)
    batch, channels, _ = given.x.shape
    rows = Rows(*(array.reshape(batch * channels, *array.shape[2:]) for array in (given.x, *taps, *tails)))
    found = step(rows, precision, varies=varies, **way)

    def dense(array: Wide) -> Wide:
        return array.reshape(batch, channels, *array.shape[1:])

    y, last, grad_x, grad_b, grad_a, grad_inputs, grad_outputs = map(dense, found)
    if not varies:
        grad_b, grad_a = grad_b[:, :, None], grad_a[:, :, None]
    whole_x = np.concatenate([given.inputs, given.x], -1)
    whole_y = np.concatenate([given.outputs.astype(y.dtype), y], -1)
    results = Results(whole_x, whole_y, np.concatenate([grad_inputs, grad_x], -1), grad_outputs, grad_b, grad_a)
    named = user_results(case, results)
    # as they are computed, where y is rounded when it is stored
    kept = results._replace(y=np.concatenate([whole_y[..., : case.length], last], -1))
    return named | {"state.outputs": user_results(case, kept)["state.outputs"]}
