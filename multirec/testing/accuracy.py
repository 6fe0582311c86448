"""Rounding errors of a backend over designed filters, against those of stepping sample by sample in the same precision.

A quantity (y, the returned state, each gradient) is as accurate as it can be asked to be if the root mean square of its
error, over samples and seeds, is at most

    3 · that of stepping + 4 eps · the root mean square of the truth

for every filter. Truth is long double, or float64 for what is computed in float32; everybody gets the same rounded
coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ..backend import HALF_DTYPES
from ._stepping import Rows
from ._truth import Signal, computed_dtype, known_of, mean_roots
from .family import Filter
from .libraries import Library
from .problems import Arguments, Case, TapsKind, Wide

__all__ = ["Errors", "Trial", "measure"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Filters, and how they are called.

    Attributes
    ----------
    filters
        With coefficients that the precision computed in has; see `multirec.testing.family.family`.
    dtype
        Of x.
    length
        T.
    rows
        Filters a call, as channels of one example where coefficients are static, else as examples of one channel. All
        the seeds of all filters, if None.
    kind
        Of both sets of coefficients.
    signal
        White noise; or a steady tone under noise, where the numerator's zero is: a constant for a high-pass, the hum for
        a notch. y is then much smaller than what it is made of.
    state
        Whether a state goes in: that of the same signal, continued.
    reverse
        Whether time runs backwards.
    """

    filters: tuple[Filter, ...]
    dtype: str = "float32"
    length: int = 1000
    rows: int | None = None
    kind: TapsKind = "static"
    signal: Signal = "noise"
    state: bool = False
    reverse: bool = False


class Errors(NamedTuple):
    """Root mean squares of one quantity, one number a filter.

    Attributes
    ----------
    backend, stepping
        Of the errors.
    truth
        Of the quantity itself.
    eps
        Of the precision that is computed in.
    """

    backend: Wide
    stepping: Wide
    truth: Wide
    eps: float

    @property
    def excess(self) -> Wide:
        """The error over what is allowed; above 1, or NaN, it is too large."""
        allowed: Wide = 3 * self.stepping + 4 * self.eps * self.truth
        return np.divide(self.backend, allowed, out=np.where(self.backend == 0, 0.0, np.inf), where=allowed > 0)

    @property
    def ratio(self) -> Wide:
        """The error over stepping's, or over half a unit in the last place of the truth where stepping is better."""
        usual: Wide = np.maximum(self.stepping, self.eps / 2 * self.truth)
        return np.divide(self.backend, usual, out=np.where(self.backend == 0, 0.0, np.inf), where=usual > 0)


def measure(trial: Trial, backend: str, library: Library) -> dict[str, Errors]:
    """Return the errors of every result of a backend by name, in the order of `trial.filters`.

    Parameters
    ----------
    trial
        What is computed.
    backend
        A registered name.
    library
        One of `multirec.testing.libraries.libraries`, through whose arrays and gradients it is called.

    Raises
    ------
    UnsupportedError
        The backend declines the problem.

    Example
    -------
    >>> from multirec.testing.family import family
    >>> from multirec.testing.libraries import NumpyLibrary
    >>> trial = Trial(filters=family("float32")[:3], length=50)
    >>> errors = measure(trial, "reference", NumpyLibrary())
    >>> bool((errors["y"].excess < 1).all())
    True
    """
    parts: dict[str, list[Errors]] = {}
    order_of = [filter_.order for filter_ in trial.filters]
    indices = sorted(range(len(order_of)), key=order_of.__getitem__)
    for _, group in groupby(indices, key=order_of.__getitem__):
        filters = tuple(trial.filters[index] for index in group)
        for name, errors in _of_one_order(replace(trial, filters=filters), backend, library).items():
            parts.setdefault(name, []).append(errors)
    back = np.argsort(indices)
    return {
        name: Errors(*(np.concatenate(found)[back] for found in list(zip(*errors, strict=True))[:3]), errors[0].eps)
        for name, errors in parts.items()
    }


def _of_one_order(trial: Trial, backend: str, library: Library) -> dict[str, Errors]:
    known = known_of(trial.filters, trial.dtype, trial.length, trial.signal, trial.state, trial.kind == "time_varying")
    count = trial.rows or len(known.rows.x)
    found: dict[str, list[Wide]] = {}
    for start in range(0, len(known.rows.x), count):
        part = Rows(*(array[start : start + count] for array in known.rows))
        for name, values in _called(trial, part, backend, library).items():
            found.setdefault(name, []).append(values)
    eps = float(np.finfo(computed_dtype(trial.dtype)).eps)
    errors = {}
    for name, field in _FIELDS.items():
        if name in found:
            want = getattr(known.truth, field)
            off = mean_roots(np.concatenate(found[name]) - want)
            errors[name] = Errors(off, getattr(known.stepping, field), mean_roots(want), eps)
    return errors


_FIELDS = {
    "y": "y",
    "state.outputs": "outputs",
    "gradient of x": "grad_x",
    "gradient of feedforward": "grad_feedforward",
    "gradient of feedback": "grad_feedback",
    "gradient of state.inputs": "grad_inputs",
    "gradient of state.outputs": "grad_outputs",
}


def _called(trial: Trial, rows: Rows, backend: str, library: Library) -> dict[str, Wide]:
    """Call a backend once, and return what it gives as rows."""
    count, (q, p) = len(rows.x), (rows.inputs.shape[-1], rows.outputs.shape[-1])
    static = trial.kind == "static"
    lead = (1, count) if static else (count, 1)
    half = trial.dtype in HALF_DTYPES
    case = Case(
        dtype=trial.dtype,
        feedforward_dtype="float32" if half else "same",
        feedback_dtype="float32" if half else "same",
        feedforward=trial.kind,
        feedback=trial.kind,
        input_order=q,
        order=p,
        batch=lead[:1],
        channels=lead[1],
        length=trial.length,
        state="both" if trial.state else "none",
        reverse=trial.reverse,
    )

    def signal(array: Wide) -> Wide:
        return (array[:, ::-1] if trial.reverse else array).reshape(*lead, -1)

    def taps(array: Wide) -> Wide:
        if trial.kind == "time_varying":
            return np.broadcast_to(array[:, None, None], (*lead, trial.length, array.shape[-1]))
        return array if static else array[:, None]

    def back(name: str, array: Wide) -> Wide:
        of_static_taps = name.endswith("feedforward") or name.endswith("feedback")
        if of_static_taps and trial.kind != "time_varying":
            return array.reshape(count, -1)
        array = array.reshape(count, *array.shape[2:])
        return array[:, ::-1] if trial.reverse else array

    x, b, a, inputs, outputs, grad_y, grad_inputs, grad_outputs = rows
    past = (signal(inputs), signal(outputs)) if trial.state else (None, None)
    given = Arguments(signal(x), taps(b), taps(a), *past, *map(signal, (grad_y, grad_inputs, grad_outputs)))
    y, state, gradients = library.gradients(case, backend, library.operands(case, given), given)
    named = {"y": y, "state.outputs": state[1]}
    of = ("x", "feedforward", "feedback", "state.inputs", "state.outputs")
    named |= {f"gradient of {name}": gradient for name, gradient in zip(of, gradients, strict=True)}
    return {name: back(name, library.get(array)) for name, array in named.items() if array is not None}
