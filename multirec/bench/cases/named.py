"""The cases that have a name, and the cases that axes make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from itertools import product
from typing import Any, NamedTuple

from multirec._core.problem import REAL_DTYPES

from .case import Case


class Named(NamedTuple):
    """A case and why it is there."""

    case: Case
    summary: str


NAMED: dict[str, Named] = {
    "biquads": Named(Case(), "128 learnable biquads on a batch of signals, all from the same input"),
    "dense": Named(Case(shared=False), "the same, each filter with an input of its own"),
    "long": Named(Case(batch=1, channels=2, length=10_000_000, shared=False), "two long signals: a mastering chain"),
    "high-order": Named(Case(batch=16, channels=32, length=48_000, order=16), "filters of order 16"),
    "gated": Named(
        Case(batch=8, channels=1024, length=4096, order=1, shared=False, feedforward=False, time_varying=True),
        "a gate for each sample: the recurrence inside minGRU",
    ),
    "layer": Named(
        Case(batch=32, channels=256, length=1024, layout="TBC", shared=False, features=256),
        "a recurrent layer with its projection, beside nn.RNN, nn.GRU and nn.LSTM",
    ),
    "streaming": Named(
        Case(batch=1, channels=128, length=256, shared=False, stateful=True), "one short block of a stream, with state"
    ),
    "complex": Named(
        Case(batch=8, channels=256, length=4096, order=1, dtype="complex64", shared=False, feedforward=False),
        "complex resonators",
    ),
    "overhead": Named(
        Case(batch=1, channels=4, length=64, shared=False), "a tiny call, whose time is the cost of calling"
    ),
}
NAMED = {name: named._replace(case=replace(named.case, name=name, base=name)) for name, named in NAMED.items()}
_SYMBOLS = {"batch": "B", "channels": "C", "length": "T"}


def case_named(name: str) -> Case:
    """Return the case of a name.

    Raises
    ------
    ValueError
        The name is unknown; the message suggests a close one and lists all.

    Example
    -------
    >>> case_named("streaming").describe()
    'x[1, 128, 256] -> y[1, 128, 256], order 2, float32, with state'
    """
    if name not in NAMED:
        close = get_close_matches(name, NAMED, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no case named {name!r}.{hint} The cases are {', '.join(NAMED)}.")
    return NAMED[name].case


def swept(base: Case, axes: Mapping[str, Sequence[Any]]) -> list[Case]:
    """Return a case for every combination of values; its name has those that are swept or not the base's.

    Raises
    ------
    ValueError
        The case has no such axis, or not with such a value.

    Example
    -------
    >>> [case.name for case in swept(case_named("biquads"), {"length": [1000, 2000], "order": [3]})]
    ['biquads T=1000 order=3', 'biquads T=2000 order=3']
    >>> [case.name for case in swept(case_named("biquads"), {"length": [1000, 16000], "order": [2]})]
    ['biquads T=1000', 'biquads T=16000']
    """
    if base.features and (set(axes.get("layout", ())) & {"BCT"}):
        raise ValueError("the case 'layer' is in layout TBC or BTC: its linear layer needs the features last.")
    if base.features and set(axes.get("dtype", ())) - set(REAL_DTYPES):
        raise ValueError("the case 'layer' is float32 or float64, as its parameters are. Choose one of the two.")
    found = []
    for values in product(*axes.values()):
        sizes = dict(zip(axes, values, strict=True))
        named = [axis for axis in axes if len(axes[axis]) > 1 or sizes[axis] != asdict(base)[axis]]
        name = " ".join([base.name, *(f"{_SYMBOLS.get(axis, axis)}={sizes[axis]}" for axis in named)])
        found.append(replace(base, **sizes, name=name))
    return found
