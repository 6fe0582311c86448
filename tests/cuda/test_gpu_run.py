"""`make gpu` on a stand-in for a GPU: every step runs to its end, and what it finds agrees with the reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed, so the kernels cannot be built")
@pytest.mark.skipif(not (find_spec("torch") and find_spec("jax")), reason="make gpu needs torch, and its peers JAX")
def test_make_gpu_ends_well_on_a_stand_in(tmp_path):
    folders = (HERE.parents[1] / "backends", HERE.parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "standin.py", str(tmp_path / "results"), str(tmp_path / "names")]
    for _ in range(2):
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("exit code 0\n"), done.stdout[-3000:] + done.stderr[-3000:]
    rows = {
        step: json.loads((tmp_path / "results" / f"h200-{step}.json").read_text())["rows"]
        for step in ("benchmark", "faults", "conformance")
    }
    timed = [(row["workload"], row["mode"]) for row in rows["benchmark"] if "workload" in row]
    assert len(timed) == 6 * 3 + 1
    skipped = {row["check"]: row["detail"] for row in rows["faults"] if row["status"] == "skipped"}
    assert skipped == {"capture": "a stand-in does not replay"}
    assert all(row["status"] == "ok" for row in rows["conformance"])
