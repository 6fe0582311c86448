"""The document of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from statistics import median
from typing import Any, cast, get_args

from ..cases.case import MODES, Case, Mode
from . import statistics
from .cells import Cell, Group, Results
from .format import SCHEMA, Axis, Calibration, CaseRow, CellRow, Document, Fit, Floor, Ratio, Regret, Shorter

_AXES: tuple[Axis, ...] = get_args(Axis)


def document(results: Results) -> Document:
    """Return the document, ready for `json.dumps(..., allow_nan=False)`."""
    calibration: Calibration = {
        "memcpy_bytes_per_s": results.bandwidth,
        "samples_s": results.bandwidth_samples,
        "cache_bytes": results.caches,
    }
    return {
        "schema": SCHEMA,
        "run": results.run,
        "machine": results.machine,
        "versions": results.versions,
        "git": results.git,
        "calibration": calibration,
        "clocks": results.clocks,
        "cases": [_case(case) for case in results.cases],
        "cells": [_cell(results, cell) for cell in results.cells],
        "floors": [_floor(results, group) for group in results.copies],
        "ratios": list(_ratios(results)),
        "fits": list(_fits(results)),
        "regret": list(_regrets(results)),
        "notes": results.notes,
    }


def _case(case: Case) -> CaseRow:
    return cast(CaseRow, case.as_dict() | {"traffic_bytes": {mode: case.traffic(mode) for mode in MODES}})


def _cell(results: Results, cell: Cell) -> CellRow:
    assert cell.status is not None
    found = statistics.interval(cell.times)
    return {
        "case": cell.case,
        "mode": cell.mode,
        "contestant": cell.contestant,
        "version": cell.version,
        "device": cell.device,
        "status": cell.status,
        "reason": cell.reason,
        "check": None if cell.errors is None else {"errors": _finite(cell.errors), "what": cell.checked},
        "first_call_s": cell.first_call,
        "break_even_calls": _break_even(results, cell),
        "calls_per_sample": cell.calls,
        "rounds": [] if cell.shorter else cell.rounds,
        "positions": [] if cell.shorter else cell.positions,
        "samples_s": [] if cell.shorter else cell.samples,
        "median_s": found.median if found else None,
        "low_s": found.low if found else None,
        "high_s": found.high if found else None,
        "spread_s": statistics.spread(cell.times),
        "memcpy_fraction": _memcpy_fraction(results, cell),
        "peak_bytes": cell.peak,
        "allocator_peak_bytes": cell.allocator_peak,
        "hot_s": median(cell.hot) if cell.hot else None,
        "host_s": median(cell.host) if cell.host else None,
        "hot_samples_s": cell.hot,
        "host_samples_s": cell.host,
        "wall_samples_s": cell.wall,
        "shorter": _shorter(cell),
    }


def _shorter(cell: Cell) -> Shorter | None:
    if not cell.shorter or not cell.samples or cell.status != "too_slow":
        return None
    return {"length": cell.shorter, "samples_s": cell.samples, "median_s": median(cell.samples)}


def _finite(errors: dict[str, float]) -> dict[str, float | None]:
    return {name: error if isfinite(error) else None for name, error in errors.items()}


def _break_even(results: Results, cell: Cell) -> float | None:
    """Return the calls that repay a slower first call, against the reference (the reference: against the next)."""
    if cell.median is None or cell.first_call is None:
        return None
    group = (cell.case, cell.mode)
    other = results.reference(group)
    if other is cell:
        rest = [row for row in results.group(group) if row is not cell and row.median is not None]
        other = min(rest, key=lambda row: row.median or 0.0, default=None)
    if other is None or other.median is None or other.first_call is None or other.median <= cell.median:
        return None
    extra = (cell.first_call - cell.median) - (other.first_call - other.median)
    return extra / (other.median - cell.median) if extra > 0 else None


def _memcpy_fraction(results: Results, cell: Cell) -> float | None:
    rate = results.bandwidth.get(cell.device.split(":")[0])
    if rate is None or cell.median is None:
        return None
    return results.cases[cell.case].traffic(cell.mode) / cell.median / rate


def _floor(results: Results, group: Group) -> Floor:
    copy = results.copies[group]
    return {
        "case": copy.case,
        "mode": copy.mode,
        "contestant": copy.contestant,
        "samples_s": copy.samples,
        "rounds": copy.rounds,
        "floor": statistics.floor(results.aa_ratios(group)),
    }


def _ratios(results: Results) -> Iterator[Ratio]:
    for cell in results.cells:
        group = (cell.case, cell.mode)
        found, reference = results.ratio(cell), results.reference(group)
        if found is not None and reference is not None:
            yield {
                "case": cell.case,
                "mode": cell.mode,
                "contestant": cell.contestant,
                "reference": reference.contestant,
                "ratio": found.ratio,
                "low": found.low,
                "high": found.high,
                "rounds": found.rounds,
                "verdict": statistics.verdict(found, statistics.floor(results.aa_ratios(group))),
            }


def _fits(results: Results) -> Iterator[Fit]:
    """Fit the growth along each axis that is swept while the others stay."""
    rows: dict[tuple[str, Mode, Axis, tuple[Any, ...]], list[tuple[int, float]]] = {}
    for cell in results.cells:
        seconds = cell.median
        if seconds is None:
            continue
        sizes = asdict(results.cases[cell.case]) | {"name": ""}
        for axis in _AXES:
            rest = tuple(sorted((key, value) for key, value in sizes.items() if key != axis))
            rows.setdefault((cell.contestant, cell.mode, axis, rest), []).append((sizes[axis], seconds))
    for (contestant, mode, axis, _), points in rows.items():
        if len({size for size, _ in points}) >= 3:
            exponent = statistics.exponent(*zip(*points, strict=True))
            yield {"contestant": contestant, "mode": mode, "axis": axis, "exponent": exponent, "points": len(points)}


def _regrets(results: Results) -> Iterator[Regret]:
    """Compare what auto picks with the fastest of multirec's backends that were timed on arrays of the same device."""
    for (case, mode), picks in results.picks.items():
        # what is picked on each of several devices is of interest even where nothing else was timed there
        least = 2 if len(picks) == 1 else 1
        for device, picked in picks.items():
            here = [cell for cell in results.group((case, mode)) if cell.backend and cell.device == device]
            timed = {cell.contestant: cell.median for cell in here if cell.median}
            if len(timed) < least or picked not in timed:
                continue
            fastest = min(timed, key=lambda name: timed[name])
            yield {
                "case": case,
                "mode": mode,
                "picked": picked,
                "fastest": fastest,
                "regret": timed[picked] / timed[fastest],
                "device": device,
            }
