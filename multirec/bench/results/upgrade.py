"""Results of version 1, the first that was written, as version 2."""

from __future__ import annotations

from typing import TypedDict

from .format import SCHEMA, CaseRow, CellRow, Document, Mode, Ratio, Status


class CaseOne(TypedDict):
    """A case of version 1."""

    text: str
    batch: int
    channels: int
    length: int
    order: int
    dtype: str
    seed: int


class MachineOne(TypedDict):
    """A machine of version 1."""

    system: str
    cpu: str
    cores: int | None
    threads: int
    load_1min: float | None
    python: str
    numpy: str
    multirec: str


class CellOne(TypedDict):
    """A cell of version 1."""

    backend: str
    mode: Mode
    status: Status
    reason: str
    version: str
    device: str
    median_s: float | None
    spread_s: float | None
    ratio: float | None
    ratio_to: str | None
    memcpy_fraction: float | None
    peak_bytes: int | None
    first_call_s: float | None
    errors: dict[str, float | None]
    checked: str
    calls_per_sample: int
    samples_s: list[float]
    positions: list[list[int]]


class VersionOne(TypedDict):
    """A document of version 1: one case."""

    schema: str
    case: CaseOne
    machine: MachineOne
    budget_s: float
    elapsed_s: float
    interrupted: bool
    memcpy_bytes_per_s: dict[str, float]
    notes: list[str]
    results: list[CellOne]


def upgraded(old: VersionOne, name: str) -> Document:
    """Return a document of version 1 as one of version 2; what it did not record is None or empty.

    `name` is what the run is called.
    """
    machine = old["machine"]
    return {
        "schema": SCHEMA,
        "run": {
            "name": name,
            "started": None,
            "elapsed_s": old["elapsed_s"],
            "budget_s": old["budget_s"],
            "compile_s": None,
            "preset": "default",
            "seed": old["case"]["seed"],
            "command": None,
            "interrupted": old["interrupted"],
        },
        "machine": {
            # without its whole memory a machine cannot be told from its like
            "id": None,
            "cpu": machine["cpu"],
            "cores": machine["cores"],
            "threads": machine["threads"],
            "memory_bytes": None,
            "system": machine["system"],
            "load_before": machine["load_1min"],
            "load_after": None,
            "governor": None,
            "timer_resolution_s": None,
            "gpus": [],
        },
        "versions": {"python": machine["python"], "multirec": machine["multirec"], "numpy": machine["numpy"]},
        "git": None,
        "calibration": {"memcpy_bytes_per_s": old["memcpy_bytes_per_s"], "samples_s": {}},
        "cases": [_case(old["case"])],
        "cells": [_cell(row) for row in old["results"]],
        "floors": [],
        "ratios": [ratio for row in old["results"] for ratio in _ratio(row)],
        "fits": [],
        "regret": [],
        "notes": [*old["notes"], "Written by an older multirec: it has no intervals and no A/A floor."],
    }


def _case(old: CaseOne) -> CaseRow:
    return {
        "name": "bank",
        "text": old["text"],
        "base": "bank",
        "batch": old["batch"],
        "channels": old["channels"],
        "length": old["length"],
        "order": old["order"],
        "dtype": old["dtype"],
        "layout": "BCT",
        "traffic_bytes": {},
    }


def _cell(old: CellOne) -> CellRow:
    return {
        "case": 0,
        "mode": old["mode"],
        "contestant": old["backend"],
        "version": old["version"],
        "device": old["device"],
        "status": old["status"],
        "reason": old["reason"],
        "check": {"errors": old["errors"], "what": old["checked"]} if old["errors"] else None,
        "first_call_s": old["first_call_s"],
        "break_even_calls": None,
        "calls_per_sample": old["calls_per_sample"],
        "rounds": [turn[0] for turn in old["positions"]],
        "positions": [turn[1] for turn in old["positions"]],
        "samples_s": old["samples_s"],
        "median_s": old["median_s"],
        "low_s": None,
        "high_s": None,
        "spread_s": old["spread_s"],
        "memcpy_fraction": old["memcpy_fraction"],
        "peak_bytes": old["peak_bytes"],
        "allocator_peak_bytes": None,
    }


def _ratio(old: CellOne) -> list[Ratio]:
    if old["ratio"] is None or old["ratio_to"] in (None, old["backend"]):
        return []
    return [
        {
            "case": 0,
            "mode": old["mode"],
            "contestant": old["backend"],
            "reference": old["ratio_to"],
            "ratio": old["ratio"],
            "low": None,
            "high": None,
            "rounds": 0,
            "verdict": "unclear",
        }
    ]
