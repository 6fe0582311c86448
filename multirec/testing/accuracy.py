"""Rounding errors of a backend over designed filters, against those of stepping sample by sample in the same precision.

A quantity (y, the returned state, each gradient) is as accurate as it can be asked to be if the root mean square of its
error, over samples and seeds, is at most

    3 · that of stepping + 4 eps · the root mean square of the truth

for every filter. Stepping adds lags in ascending or descending order, or with fused operations: the largest of their
errors counts, since one alone may be small by chance. Truth is long double, or float64 for what is computed in float32;
everybody gets the same rounded coefficients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..errors import UnsupportedError
from ._stepping import Rows
from ._truth import Known, Trial, known_of, mean_roots
from .family import Filter
from .library import Library
from .problems import Arguments, Case, Wide
from .subject import Subject, Tally

__all__ = ["Errors", "Measurement", "Trial", "accuracy_tally", "measure"]


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

    @classmethod
    def joined(cls, parts: Sequence[Errors]) -> Errors:
        """Return the errors of all filters of some parts."""
        backend, stepping, truth = (np.concatenate(each) for each in list(zip(*parts, strict=True))[:3])
        return cls(backend, stepping, truth, parts[0].eps)

    @property
    def excess(self) -> Wide:
        """The error over what is allowed; above 1, or NaN, it is too large.

        Zero where stepping's error is larger than the quantity itself: of that nothing is left to compare.
        """
        allowed: Wide = 3 * self.stepping + 4 * self.eps * self.truth
        found = np.divide(self.backend, allowed, out=np.where(self.backend == 0, 0.0, np.inf), where=allowed > 0)
        return np.where((self.truth > 0) & (self.stepping > self.truth), 0.0, found)

    @property
    def ratio(self) -> Wide:
        """The error over stepping's, or over half a unit in the last place of the truth where stepping is better."""
        usual: Wide = np.maximum(self.stepping, self.eps / 2 * self.truth)
        return np.divide(self.backend, usual, out=np.where(self.backend == 0, 0.0, np.inf), where=usual > 0)


class Measurement(NamedTuple):
    """What a trial gave.

    Attributes
    ----------
    filters
        Those that were computed, by order.
    errors
        Of every result by name (``"y"``, ``"state.outputs"``, ``"gradient of x"``, …), in the order of `filters`.
    refused
        The reason why the backend declines a filter, by its name.
    """

    filters: tuple[Filter, ...]
    errors: dict[str, Errors]
    refused: dict[str, str]


def measure(trial: Trial, backend: str, library: Library) -> Measurement:
    """Measure the errors of every result of a backend.

    Parameters
    ----------
    trial
        What is computed.
    backend
        A registered name.
    library
        One of `multirec.testing.libraries.libraries`, through whose arrays and gradients it is called.

    Example
    -------
    >>> from multirec.testing.family import family
    >>> from multirec.testing.libraries import NumpyLibrary
    >>> found = measure(Trial(filters=family("float32")[:3], length=50), "reference", NumpyLibrary())
    >>> bool((found.errors["y"].excess < 1).all())
    True
    """
    filters: list[Filter] = []
    refused: dict[str, str] = {}
    parts: dict[str, list[Errors]] = {}
    for known in known_of(trial):
        try:
            found = _errors(trial, known, backend, library)
        except UnsupportedError as error:
            refused |= {filter_.name: str(error) for filter_ in known.filters}
            continue
        filters += known.filters
        for name, errors in found.items():
            parts.setdefault(name, []).append(errors)
    return Measurement(tuple(filters), {name: Errors.joined(errors) for name, errors in parts.items()}, refused)


def accuracy_tally(subject: Subject, trials: Iterable[Trial]) -> Tally:
    """Measure a backend in trials, and count the filters for which some result is less accurate than it can be.

    Example
    -------
    >>> from multirec.testing.family import family
    >>> from multirec.testing.libraries import NumpyLibrary
    >>> trial = Trial(filters=family("float32")[:3], length=50)
    >>> print(accuracy_tally(Subject("reference", NumpyLibrary(), "float32"), [trial]))
    3 problems
    """
    tally = Tally()
    for trial in trials:
        found = measure(trial, subject.backend, subject.library)
        tally.computed += len(found.filters)
        tally.refused.update(found.refused.values())
        for name, errors in found.errors.items():
            for index in np.flatnonzero(~(errors.excess <= 1)):
                wrong, usual = errors.backend[index], errors.stepping[index]
                tally.failures.append(
                    f"{found.filters[index].name} ({trial}): {name} errs by {wrong:.2g}, stepping by {usual:.2g}; "
                    f"values are about {errors.truth[index]:.2g}"
                )
    return tally


def _errors(trial: Trial, known: Known, backend: str, library: Library) -> dict[str, Errors]:
    count = trial.rows or len(known.rows.x)
    found: dict[str, list[Wide]] = {}
    for start in range(0, len(known.rows.x), count):
        part = Rows(*(array[start : start + count] for array in known.rows))
        for name, values in _called(trial, part, backend, library).items():
            found.setdefault(name, []).append(values)
    eps = float(np.finfo(trial.precision).eps)
    errors = {}
    for name, field in _FIELDS.items():
        if name in found:
            want = getattr(known.truth, field)
            # a wrong backend may give any number: what squares beyond all of them is off by inf
            with np.errstate(all="ignore"):
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
    taps_dtype = "same" if trial.dtype == trial.precision else trial.precision
    case = Case(
        dtype=trial.dtype,
        compute_dtype=trial.compute_dtype,
        feedforward_dtype=taps_dtype,
        feedback_dtype=taps_dtype,
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
        if name.endswith(("feedforward", "feedback")) and trial.kind != "time_varying":
            return array.reshape(count, -1)
        array = array.reshape(count, *array.shape[2:])
        return array[:, ::-1] if trial.reverse else array

    x, b, a, inputs, outputs, grad_y, grad_inputs, grad_outputs = rows
    past = (signal(inputs), signal(outputs)) if trial.state else (None, None)
    given = Arguments(signal(x), taps(b), taps(a), *past, *map(signal, (grad_y, grad_inputs, grad_outputs)))
    operands = library.operands(case, given)
    if trial.cuts:
        y, last = _continued(trial, case, given.x, operands, backend, library)
        return {"y": back("y", y), "state.outputs": back("state.outputs", last)}
    y, state, gradients = library.gradients(case, backend, operands, given)
    named = {"y": library.get(y), "state.outputs": library.get(state[1])}
    of = ("x", "feedforward", "feedback", "state.inputs", "state.outputs")
    pairs = [(name, gradient) for name, gradient in zip(of, gradients, strict=True) if gradient is not None]
    named |= {f"gradient of {name}": library.get(gradient) for name, gradient in pairs}
    return {name: back(name, array) for name, array in named.items()}


def _continued(
    trial: Trial, case: Case, x: Wide, operands: list[Any], backend: str, library: Library
) -> tuple[Wide, Wide]:
    """Return y and the last outputs of blocks in turn; coefficients do not vary along time."""
    edges = [0, *trial.cuts, trial.length]
    parts = []
    for start, stop in pairwise(edges):
        span = slice(trial.length - stop, trial.length - start) if trial.reverse else slice(start, stop)
        operands[0] = library.put(x[..., span], case.dtype)
        y, state = library.call(case, backend, operands)
        operands[3:] = state
        parts.append(library.get(y))
    return np.concatenate(parts[::-1] if trial.reverse else parts, -1), library.get(state[1])
