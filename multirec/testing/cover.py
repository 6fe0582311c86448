"""Sets of cases: every pair of choices, the full product, and the edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, cycle, product
from typing import Any

from ..backend import Layout
from .problems import Case, Memory

__all__ = [
    "edge_cases",
    "frozen_cases",
    "large_cases",
    "memory_cases",
    "pair_cases",
    "pairwise",
    "product_cases",
    "sequence_cases",
    "wide_cases",
]

LAYOUTS: tuple[Layout, ...] = ("BCT", "BTC", "TBC")
KINDS = ("none", "static", "per_example", "time_varying")
DTYPES = (
    ("float64", "same", "same"),
    ("float64", "float32", "complex128"),
    ("complex128", "same", "same"),
    ("complex128", "float64", "same"),
    ("float32", "same", "same"),
    ("float32", "float64", "float64"),
    ("float32", "complex64", "same"),
    ("complex64", "same", "same"),
    ("complex64", "same", "float32"),
    ("float16", "float32", "float32"),
    ("float16", "same", "same"),
    ("bfloat16", "float32", "float32"),
    ("bfloat16", "same", "same"),
)
"""Data types of x, feedforward and feedback."""
SIZES = (
    {"input_order": 2, "order": 2, "channels": 3, "length": 13},
    {"input_order": 0, "order": 1, "channels": 9, "length": 13},
    {"input_order": 1, "order": 3, "channels": 5, "length": 70},
)
"""Orders, with numbers of channels and samples that no vector or block divides."""


def pairwise(
    factors: Mapping[str, Sequence[Any]], allowed: Callable[[Mapping[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Return few combinations in which every two values of different factors meet, where `allowed` lets them.

    Example
    -------
    >>> rows = pairwise({"a": [0, 1], "b": [0, 1], "c": [0, 1]}, lambda row: True)
    >>> len(rows) < 8 and {(row["a"], row["c"]) for row in rows} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    True
    """
    names = sorted(factors, key=lambda name: -len(factors[name]))
    rows: list[dict[str, Any]] = []
    met: set[tuple[str, Any, str, Any]] = set()

    def pairs(row: Mapping[str, Any], name: str, value: Any) -> set[tuple[str, Any, str, Any]]:
        others = ((other, row[other]) for other in row if other != name)
        return {
            (name, repr(value), other, repr(own)) if name < other else (other, repr(own), name, repr(value))
            for other, own in others
        }

    for one, other in combinations(names, 2):
        for start in product(factors[one], factors[other]):
            row = {one: start[0], other: start[1]}
            if not allowed(row) or pairs(row, one, start[0]) <= met:
                continue
            for name in names:
                if name not in row:
                    turned = [factors[name][(i + len(rows)) % len(factors[name])] for i in range(len(factors[name]))]
                    options = [value for value in turned if allowed(row | {name: value})]
                    row[name] = max(options, key=lambda value, name=name, row=row: len(pairs(row, name, value) - met))  # type: ignore[misc]
            for name in names:
                met |= pairs(row, name, row[name])
            rows.append(row)
    return rows


def _case(row: Mapping[str, Any]) -> Case:
    """Return a case of a row in which several fields may go by one name."""
    choices = {**row}
    if "dtypes" in choices:
        choices |= zip(("dtype", "feedforward_dtype", "feedback_dtype"), choices.pop("dtypes"), strict=True)
    return Case(**choices.pop("sizes", {}), **choices)


def _has_taps(row: Mapping[str, Any]) -> bool:
    return (row.get("feedforward"), row.get("feedback")) != ("none", "none")


_CHOICES: dict[str, Sequence[Any]] = {
    "feedforward": KINDS,
    "feedback": KINDS,
    "layout": LAYOUTS,
    "shared": (False, True),
    "state": ("none", "both", "inputs", "outputs"),
    "rounded_state": (False, True),
    "reverse": (False, True),
    "sizes": SIZES,
    "batch": ((2,), (), (2, 3)),
    "ones": ((), ("batch",), ("channels",), ("time",)),
    "through": ("both", "y", "state"),
}


@lru_cache(maxsize=1)
def pair_cases() -> tuple[Case, ...]:
    """Return cases in which every two of these choices meet: data types, layout, kinds, sizes, state, …"""
    return tuple(map(_case, pairwise({"dtypes": DTYPES, **_CHOICES}, _has_taps)))


@lru_cache(maxsize=1)
def wide_cases() -> tuple[Case, ...]:
    """Return the same for what is computed in float64, of all data types below that."""
    narrow = [dtypes for dtypes in DTYPES if dtypes[0] not in ("float64", "complex128")]
    rows = pairwise({"dtypes": narrow, **_CHOICES}, _has_taps)
    cases = [replace(_case(row), compute_dtype="float64") for row in rows]
    # complex types differ little, and take longest to compile
    return tuple(case for index, case in enumerate(cases) if case.dtype != "complex64" or index % 2 == 0)


@lru_cache(maxsize=1)
def product_cases() -> tuple[Case, ...]:
    """Return the full product of layout, kinds, shared input, state and direction in float64."""
    names = ("layout", "feedforward", "feedback", "shared", "state", "reverse")
    choices = product(LAYOUTS, KINDS, KINDS, (False, True), ("none", "both"), (False, True))
    rows = (dict(zip(names, row, strict=True)) for row in choices)
    return tuple(_case(row) for row in rows if _has_taps(row))


@lru_cache(maxsize=16)
def frozen_cases(dtype: str) -> tuple[Case, ...]:
    """Return cases in which some operands want no gradient, such as the coefficients of a trained filter."""
    frozen = (
        ("feedforward", "feedback"),
        ("feedforward", "feedback", "state"),
        ("x", "state", "feedforward"),
        ("x", "state", "feedback"),
    )
    turns = [(layout, reverse) for layout in LAYOUTS for reverse in (False, True)]
    # what is kept depends little on the data type
    every = 1 if dtype in ("float32", "float64") else 3
    rows = tuple(product(frozen, ("static", "time_varying"), (False, True)))[::every]
    return tuple(
        Case(dtype=dtype, frozen=names, feedforward=kind, feedback=kind, shared=shared, layout=layout, reverse=reverse)  # type: ignore[arg-type]
        for (names, kind, shared), (layout, reverse) in zip(rows, cycle(turns), strict=False)
    )


@lru_cache(maxsize=16)
def edge_cases(dtype: str) -> tuple[Case, ...]:
    """Return cases of the smallest and oddest sizes."""
    sizes: tuple[dict[str, Any], ...] = (
        {"length": 0},
        {"length": 0, "state": "none", "feedback": "time_varying", "feedforward": "time_varying"},
        {"batch": (0,)},
        {"batch": (2, 0), "feedback": "per_example", "feedforward": "per_example"},
        {"batch": (0,), "shared": True, "state": "none"},
        {"length": 1},
        {"length": 1, "feedback": "time_varying"},
        {"length": 2, "input_order": 4},
        {"length": 2, "order": 4},
        {"length": 3, "order": 5, "input_order": 5, "state": "none"},
        {"length": 2, "order": 4, "feedback": "per_example", "shared": True},
        {"feedback": "none", "length": 2, "input_order": 3},
        {"order": 0, "input_order": 1},
        {"feedforward": "none", "order": 1, "length": 1},
        {"input_order": 0},
        {"channels": 1},
        {"channels": 1, "shared": True, "batch": ()},
        {"shared": True, "ones": ("channels",)},
        {"batch": (), "feedback": "time_varying"},
        {"batch": (2, 1, 3), "feedback": "per_example", "ones": ("batch",)},
        {"order": 9, "input_order": 9, "length": 20, "radius": 0.7},
    )
    turns = [(layout, reverse) for layout in LAYOUTS for reverse in (False, True)]
    return tuple(
        Case(dtype=dtype, layout=layout, reverse=reverse, **size)
        # sizes go by one code for all types: the others get every third
        for index, size in enumerate(sizes[:: 1 if dtype == "float64" else 3])
        for layout, reverse in (turns[index % 6], turns[(index + 3) % 6])
    )


def memory_cases(dtype: str, memories: tuple[Memory, ...]) -> tuple[Case, ...]:
    """Return cases whose x lies in memory in these ways."""
    return tuple(
        Case(dtype=dtype, memory=memory, layout=layout, shared=shared, reverse=shared, batch=(3,) if shared else (2, 2))
        for memory in memories
        for layout, shared in product(LAYOUTS, (False, True))
    )


@lru_cache(maxsize=16)
def sequence_cases(dtype: str) -> tuple[Case, ...]:
    """Return cases of several sequences in one row; those of float64 meet every kind of coefficients both ways."""
    rows: list[dict[str, Any]] = [
        {"marks": "both", "layout": "TBC", "input_order": 1, "order": 2},
    ]
    if dtype == "float64":
        rows += [
            {"marks": "end_to_end", "layout": "BTC", "reverse": True, "feedforward": "none", "order": 1, "length": 40},
            {"marks": "resets", "feedback": "time_varying", "input_order": 2, "order": 1, "reverse": True},
            {"marks": "lengths", "layout": "BTC", "feedforward": "per_example", "feedback": "per_example", "order": 4},
            {"marks": "end_to_end", "feedforward": "time_varying", "input_order": 3, "feedback": "none"},
            {"marks": "all_cut", "layout": "TBC", "input_order": 1, "order": 2, "ones": ("channels",)},
            {"marks": "both", "reverse": True, "shared": True, "state": "none", "order": 3, "length": 40},
        ]
    return tuple(
        Case(dtype=dtype, batch=(1,) if row["marks"] in ("end_to_end", "all_cut") else (3,), channels=2, **row)
        for row in rows
    )


_GATES = {"feedforward": "none", "feedback": "time_varying", "order": 1}


def large_cases(dtype: str) -> tuple[Case, ...]:
    """Return cases of many channels, many examples and many samples, of a biquad, order 1 and gates."""
    sizes: tuple[dict[str, Any], ...] = (
        {"batch": (1,), "channels": 128, "length": 100},
        {"batch": (33,), "channels": 3, "length": 120, "input_order": 1, "order": 1, "shared": True},
        {"batch": (18,), "channels": 70, "length": 20, "reverse": True, **_GATES},
        {"batch": (1,), "channels": 3, "length": 4100},
        {"batch": (1,), "channels": 2, "length": 4100, **_GATES},
    )
    # data types take the layouts in turn
    turn = [own[0] for own in DTYPES].index(dtype)
    return tuple(Case(dtype=dtype, layout=LAYOUTS[(index + turn) % 3], **size) for index, size in enumerate(sizes))
