"""Errors over designed filters, against those of stepping sample by sample: `python bench/accuracy.py numba`.

Prints Markdown: a row a filter, a column a backend and data type, and in it the error of y and that of the worst
gradient, each over stepping's. Above 3 is in bold where it is also more than 4 eps of the result.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace

import numpy as np

import multirec as mr
from multirec.testing.accuracy import Measurement, Trial, measure
from multirec.testing.family import designed, family
from multirec.testing.libraries import NumpyLibrary

TOGETHER = 1 << 18
"""Filters times samples that are computed at once: what the truth of 16 seeds takes is some hundred bytes each."""


def main() -> None:
    options = parsed()
    named = [filter_.name for filter_ in designed() if any(text in filter_.name for text in options.filters)]
    columns = [(backend, dtype) for dtype in options.dtype for backend in options.backends]
    cells: dict[str, dict[tuple[str, str], tuple[float, float, float]]] = defaultdict(dict)
    for dtype in options.dtype:
        precision = "float64" if options.wide else dtype
        found = [filter_ for filter_ in family(precision) if filter_.name in named][:: options.every]
        count = max(1, TOGETHER // options.length)
        for start in range(0, len(found), count):
            trial = replace(trial_of(options), dtype=dtype, filters=tuple(found[start : start + count]))
            for backend in options.backends:
                measured = measure(trial, backend, NumpyLibrary())
                for name, cell in zip((f.name for f in measured.filters), worst(measured), strict=True):
                    cells[name][backend, dtype] = cell
    print(trial_of(options), end="\n\n")
    print("| filter |", " | ".join(f"{backend} {dtype}" for backend, dtype in columns), "|")
    print("|---" * (1 + len(columns)) + "|")
    if not options.summary:
        for name in named:
            if name in cells:
                print(f"| {name} |", " | ".join(text(cells[name].get(column)) for column in columns), "|")
    print("| **the worst** |", " | ".join(text(largest(cells, column)) for column in columns), "|")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backends", nargs="*", help="default: all that are ready, but the reference")
    parser.add_argument("--dtype", nargs="+", default=["float32", "float64"])
    parser.add_argument("--length", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=1, help="rows a call; 0: all seeds of all filters of an order")
    parser.add_argument("--kind", default="static", choices=["static", "per_example", "time_varying"])
    parser.add_argument("--signal", default="noise", choices=["noise", "steady"])
    parser.add_argument("--reverse", action="store_true")
    parser.add_argument("--state", action="store_true", help="a state goes in")
    parser.add_argument("--wide", action="store_true", help="compute in float64 what is not float64")
    parser.add_argument("--filters", nargs="+", default=[""], metavar="TEXT", help="those whose name has one of these")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth filter")
    parser.add_argument("--summary", action="store_true", help="the worst alone")
    options = parser.parse_args()
    ready = [name for name, status in mr.backends().items() if status.status == "ready" and name != "reference"]
    options.backends = options.backends or ready
    return options


def trial_of(options: argparse.Namespace) -> Trial:
    return Trial(
        filters=(),
        dtype=" ".join(options.dtype),
        compute_dtype="float64" if options.wide else None,
        length=options.length,
        rows=options.rows or None,
        kind=options.kind,
        signal=options.signal,
        reverse=options.reverse,
        state=options.state,
    )


def worst(measured: Measurement) -> list[tuple[float, float, float]]:
    """Return, for each filter, the ratio of y, that of the worst gradient, and the largest excess."""
    gradients = [errors.ratio for name, errors in measured.errors.items() if name.startswith("gradient")]
    excess = [errors.excess for errors in measured.errors.values()]
    each = (measured.errors["y"].ratio, np.max(gradients, 0), np.max(excess, 0))
    return list(zip(*(part.tolist() for part in each), strict=True))


def largest(cells: dict[str, dict[tuple[str, str], tuple[float, float, float]]], column: tuple[str, str]):
    found = [cell[column] for cell in cells.values() if column in cell]
    return tuple(np.max(found, 0)) if found else None


def text(cell: tuple[float, float, float] | None) -> str:
    if cell is None:
        return "–"
    y, gradient, excess = cell
    shown = f"{y:.2g} / {gradient:.2g}"
    return shown if excess <= 1 else f"**{shown}**"


if __name__ == "__main__":
    main()
