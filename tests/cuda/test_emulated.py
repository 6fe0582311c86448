"""The kernels computed on the CPU against the oracle; in slower checks with address and undefined-behaviour sanitizers.

Without sanitizers they take a fifth of the time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cases import CASES, LONG

HERE = Path(__file__).parent
LATER = pytest.mark.long


def sanitizer_libraries() -> list[str]:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed, so the CUDA kernels cannot be built for the CPU")
    names = ("libasan.so", "libubsan.so")
    found = [subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip() for name in names]
    if not all(Path(path).is_file() for path in found):
        pytest.skip("g++ has no libasan or libubsan, so the CUDA kernels cannot be checked on the CPU")
    return found


def computed(program: str = "checked", **what: object) -> list[dict[str, object]]:
    """Return what `main` of a program says of each check; fails where a sanitizer does."""
    libraries = ":".join(sanitizer_libraries())
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    if what.get("sanitized", True):
        environment["LD_PRELOAD"] = libraries
    command = [sys.executable, "-c", f"import {program}; {program}.main(**{what})"]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, "nothing was computed"
    return lines


def wrong(lines):
    return "\n".join(f"{line['name']}: {line['detail']}" for line in lines if not line["ok"])


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=() if kind == "channels" else LATER) for kind in CASES])
def test_cases_agree_with_the_oracle(kind):
    faults = wrong(computed(kind=kind, sanitized=False))
    assert not faults, faults


@LATER
@pytest.mark.parametrize("kind", CASES)
def test_cases_with_sanitizers(kind):
    faults = wrong(computed(kind=kind))
    assert not faults, faults


@LATER
@pytest.mark.parametrize("kind", LONG)
def test_cases_that_take_long_agree_with_the_oracle(kind):
    faults = wrong(computed(kind=kind, long=True))
    assert not faults, faults


@LATER
def test_conforms():
    faults = wrong(computed(dtypes=("float32",), sanitized=False))
    assert not faults, faults


@LATER
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_conforms_with_sanitizers(dtype):
    faults = wrong(computed(dtypes=(dtype,)))
    assert not faults, faults
