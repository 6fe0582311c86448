"""Synthetic documents: the times are made up, everything else is as a run would write it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from multirec.bench.results.format import SCHEMA, CellRow, Document, Mode, Ratio

MACHINE: dict[str, Any] = {
    "id": "3f9a1c2b",
    "cpu": "Example CPU 9000",
    "cores": 2,
    "threads": 2,
    "memory_bytes": 24 << 30,
    "system": "Linux x86_64",
    "load_before": 0.2,
    "load_after": 1.9,
    "governor": None,
    "timer_resolution_s": 1e-7,
    "gpus": [],
}
FORWARD: Mode = "forward"
BOTH: Mode = "forward+backward"
MEMCPY = 20e9
FLOOR = 0.02
ROUNDS = 15


def clocks(**more: Any) -> Any:
    """The clocks of a GPU that became warm."""
    before = {"sm_mhz": 1980, "memory_mhz": 2619, "temperature": 34, "power": 120.5, "slowed_by": []}
    after = before | {"sm_mhz": 1755, "temperature": 61, "power": 690.0, "slowed_by": ["its power limit"]}
    found = {"source": "NVML", "before": before, "after": after, "lowest_sm_mhz": 1700}
    return found | {"slowed_by": ["its power limit"]} | more


def case(name: str = "biquads", **axes: Any) -> dict[str, Any]:
    """A case as the document has it."""
    sizes = {"batch": 32, "channels": 128, "length": 16000, "order": 2, "dtype": "float32", "layout": "BCT"}
    kinds = {"shared": True, "feedforward": True, "time_varying": False, "stateful": False, "features": 0, "seed": 0}
    sizes = sizes | kinds | axes
    batch, channels, length = sizes["batch"], sizes["channels"], sizes["length"]
    size = 4 * batch * channels * length
    text = f"x[{batch}, {length}] -> y[{batch}, {channels}, {length}], order {sizes['order']}, {sizes['dtype']}"
    traffic = {"forward": size, "forward+backward": 2 * size}
    return {"name": name, "text": text, "base": "biquads", **sizes, "traffic_bytes": traffic}


def cell(place: int, name: str, seconds: float, mode: Mode = FORWARD, noise: float = 0.02, **more: Any) -> CellRow:
    """A cell that was timed: samples around `seconds`."""
    rng = random.Random(f"{place} {name} {mode}")
    samples = [seconds * (1 + noise * rng.uniform(-1, 1)) for _ in range(ROUNDS)]
    middle = median(samples)
    row: Any = {
        "case": place,
        "mode": mode,
        "contestant": name,
        "version": "1.2.3",
        "device": "cpu",
        "status": "ok",
        "reason": "",
        "check": {"errors": {"y": 3e-6}, "what": "8 of 128 channels, all 32 examples, full length"},
        "first_call_s": 3 * seconds,
        "break_even_calls": None,
        "calls_per_sample": 1,
        "rounds": list(range(ROUNDS)),
        "positions": [rng.randrange(4) for _ in range(ROUNDS)],
        "samples_s": samples,
        "median_s": middle,
        "low_s": middle * (1 - noise / 4),
        "high_s": middle * (1 + noise / 4),
        "spread_s": middle * noise,
        "memcpy_fraction": None,
        "peak_bytes": 262_144_000,
        "allocator_peak_bytes": None,
        "hot_s": None,
        "host_s": None,
        "hot_samples_s": [],
        "host_samples_s": [],
    }
    return row | more


def untimed(place: int, name: str, status: str, reason: str, mode: Mode = FORWARD) -> CellRow:
    """A cell without times, and why."""
    nothing = dict.fromkeys(("first_call_s", "median_s", "low_s", "high_s", "spread_s", "peak_bytes", "check"))
    empty: Any = {"status": status, "reason": reason, "samples_s": [], "rounds": [], "positions": []}
    return cell(place, name, 1.0, mode, **nothing, **empty)


def document(cells: Sequence[CellRow], cases: Sequence[Mapping[str, Any]] = (), reference: str = "scipy") -> Document:
    """A whole document: ratios, floors and fractions of memcpy follow from the cells."""
    rows: Any = [dict(row) for row in cells]
    cases = list(cases) or [case()]
    for row in rows:
        if row["median_s"]:
            traffic = cases[row["case"]]["traffic_bytes"][row["mode"]]
            row["memcpy_fraction"] = traffic / row["median_s"] / MEMCPY
    references = {(row["case"], row["mode"]): row for row in rows if row["contestant"] == reference and row["median_s"]}
    result: Any = {
        "schema": SCHEMA,
        "run": {
            "name": "example",
            "started": "2026-11-22T21:00:00Z",
            "elapsed_s": 57.3,
            "budget_s": 60.0,
            "compile_s": 12.0,
            "preset": "default",
            "seed": 0,
            "command": "multirec bench",
            "interrupted": False,
        },
        "machine": dict(MACHINE),
        "versions": {"python": "3.11.7", "multirec": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
        "git": {"commit": "0123456789abcdef", "dirty": True},
        "calibration": {"memcpy_bytes_per_s": {"cpu": MEMCPY}, "samples_s": {"cpu": [0.01]}},
        "cases": cases,
        "cells": rows,
        "floors": [
            {
                "case": place,
                "mode": mode,
                "contestant": reference,
                "samples_s": row["samples_s"],
                "rounds": row["rounds"],
                "floor": FLOOR,
            }
            for (place, mode), row in references.items()
        ],
        "ratios": [
            ratio(row, references[row["case"], row["mode"]])
            for row in rows
            if row["median_s"] and row["contestant"] != reference and references
        ],
        "fits": [],
        "regret": [],
        "notes": [],
    }
    return result


def ratio(row: CellRow, reference: CellRow) -> Ratio:
    """The ratio of a cell to the reference of its case."""
    value = (reference["median_s"] or 0.0) / (row["median_s"] or 1.0)
    low, high = value * 0.97, value * 1.03
    verdict: Any = "faster" if low > 1 + FLOOR else "slower" if high < 1 - FLOOR else "tie"
    found: Any = {"ratio": value, "low": low, "high": high, "rounds": ROUNDS, "verdict": verdict}
    names = {"contestant": row["contestant"], "reference": reference["contestant"]}
    return {"case": row["case"], "mode": row["mode"], **names, **found}


def biquads() -> Document:
    """One case, both modes, cells of every status, a tie, and an unclear ratio."""
    rows = [
        cell(0, "numba", 0.0274, first_call_s=0.9, break_even_calls=2.0),
        cell(0, "unfold_scan", 0.235, noise=0.4, first_call_s=0.3, break_even_calls=None),
        cell(0, "jax", 0.470, first_call_s=1.8),
        cell(0, "scipy", 0.468),
        cell(0, "torchaudio", 0.642, peak_bytes=1_048_576_000),
        cell(0, "loop_in_place", 0.732),
        untimed(0, "philtorch", "failed_check", "values of y off by 3e-2 relative, 1e-4 is allowed"),
        untimed(0, "torchlpc", "skipped", "module 'torchlpc' is not installed; install it with: pip install torchlpc"),
        untimed(0, "loop_cloned", "too_slow", "14 min a call predicted from two short runs, the limit is 5.00 s"),
        cell(0, "numba", 0.0818, BOTH, first_call_s=2.1, break_even_calls=1.0),
        cell(0, "unfold_scan", 1.45, BOTH),
        cell(0, "torch_loop", 2.43, BOTH),
        cell(0, "torchaudio", 5.67, BOTH),
        untimed(0, "scipy", "unsupported", "SciPy has no gradient", BOTH),
        untimed(0, "philtorch", "crash", "its process ended with SIGSEGV during its check", BOTH),
        untimed(0, "jax", "oom", "needs about 12.0 GiB, 9.1 GiB are free; nothing was allocated", BOTH),
    ]
    forward = document([row for row in rows if row["mode"] == FORWARD], reference="scipy")
    both = document([row for row in rows if row["mode"] == BOTH], reference="torch_loop")
    for table in ("cells", "floors", "ratios"):
        forward[table].extend(both[table])  # type: ignore[literal-required]
    unclear = next(row for row in forward["ratios"] if row["contestant"] == "torchaudio")
    unclear.update(low=0.5, high=1.1, verdict="unclear")
    forward["regret"] = [{"case": 0, "mode": FORWARD, "picked": "numba", "fastest": "numba", "regret": 1.0}]
    forward["notes"] = ["the load was 1.4 before the run; other work makes times swing. Close it and run again."]
    return forward


def sweep(axis: str = "length", values: Sequence[int] = (1000, 4000, 16000, 64000)) -> Document:
    """One axis swept, three contestants."""
    cases = [case(f"biquads {axis}={value}", **{axis: value}) for value in values]
    cells: list[CellRow] = []
    for place, value in enumerate(values):
        cells += [
            cell(place, "numba", 0.0002 + 1.7e-6 * value),
            cell(place, "scipy", 3e-5 * value),
            cell(place, "torchaudio", 4e-5 * value),
        ]
    cells[-1] = untimed(len(values) - 1, "torchaudio", "too_slow", "predicted from two short runs")
    found = document(cells, cases)
    found["fits"] = [{"contestant": "numba", "mode": FORWARD, "axis": axis, "exponent": 0.98, "points": len(values)}]  # type: ignore[typeddict-item]
    return found


def recorded() -> Document:
    """Two problems of an application, one of which SciPy was too slow for, and one that no case is."""
    cells = [cell(0, "numba", 0.01), cell(1, "numba", 0.002), cell(0, "scipy", 0.1)]
    cells.append(untimed(1, "scipy", "too_slow", "predicted from two short runs"))
    found = document(cells, [case(), case("other", length=99)], "numba")
    calls: Any = [{"case": at, "mode": FORWARD, "calls": count, "traced": False} for at, count in ((0, 30), (1, 50))]
    left: Any = {"text": "x of 1 × 2 channels", "reason": "time runs backwards", "calls": 4}
    found["recording"] = {"name": "app.json", "calls": calls, "left_out": [left]}
    return found
