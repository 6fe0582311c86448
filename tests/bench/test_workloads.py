"""The workloads of the project: each layout computes the same, and a run in pieces is one run."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")
BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def workloads(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return import_module("workloads")


def called(workloads: Any, monkeypatch: pytest.MonkeyPatch, output: Path, *more: str) -> list[str]:
    """Run it with rows that note that they are made."""
    made: list[str] = []

    def make(layout: str, backend: str) -> Any:
        made.append(layout)
        calls = {"limit": lambda: None, backend: lambda: None}
        return import_module("cpu.row").Row("nothing", calls, {} if layout == "BTC" else dict(calls))

    monkeypatch.setattr(workloads, "WORKLOADS", {"W1": (("BCT", "BTC"), make), "W5": (("TBC",), make)})
    monkeypatch.setattr(sys, "argv", ["workloads", "-o", str(output), *more])
    workloads.main()
    return made


def test_a_run_in_pieces_is_one_run(workloads: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    assert called(workloads, monkeypatch, output, "--only", "W5") == ["TBC"]
    before = json.loads(output.read_text())["rows"]
    assert called(workloads, monkeypatch, output) == ["BCT", "BTC"]
    rows = json.loads(output.read_text())["rows"]
    assert list(rows) == ["W5 TBC forward", "W5 TBC both", "W1 BCT forward", "W1 BCT both", "W1 BTC forward"]
    assert {key: rows[key] for key in before} == before
    assert set(rows["W1 BCT both"]["milliseconds"]) == {"limit", "numba", "numba_reuse"}
    with pytest.raises(SystemExit, match="was measured with another rounds"):
        called(workloads, monkeypatch, output, "--rounds", "3")


@pytest.mark.parametrize("layout", ["BTC", "TBC"])
def test_an_array_is_placed_in_a_layout(workloads: Any, layout: str) -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    found = import_module("cpu.row").placed(array[..., None], layout)[..., 0]
    assert found.flags.c_contiguous
    assert (np.einsum(f"{layout.lower()}->bct", found) == array).all()
