"""The kernels computed on the CPU, with the address and undefined-behaviour sanitizers on, against the oracle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAST = ("float32", "float16")


def sanitizer_libraries() -> list[str]:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed, so the CUDA kernels cannot be built for the CPU")
    names = ("libasan.so", "libubsan.so")
    found = [subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip() for name in names]
    if not all(Path(path).is_file() for path in found):
        pytest.skip("g++ has no libasan or libubsan, so the CUDA kernels cannot be checked on the CPU")
    return found


@lru_cache(maxsize=2)
def results(dtypes: tuple[str, ...], with_cases: bool = False) -> tuple[str, list[dict[str, object]]]:
    environment = os.environ | {"LD_PRELOAD": ":".join(sanitizer_libraries()), "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-c", f"import checked; checked.main({dtypes}, {with_cases})"]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return ("" if done.returncode == 0 else done.stderr[-6000:]), lines


def wrong(lines, kind):
    mine = [line for line in lines if str(line["name"]).startswith(kind)]
    assert mine, f"no {kind} was computed"
    return "\n".join(f"{line['name']}: {line['detail']}" for line in mine if not line["ok"])


def test_nothing_trips_a_sanitizer():
    fault, _ = results(FAST, True)
    assert not fault, fault


@pytest.mark.parametrize("kind", ["case", "conformance"])
def test_agrees_with_the_oracle(kind):
    _, lines = results(FAST, True)
    faults = wrong(lines, kind)
    assert not faults, faults


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float64", "complex64", "complex128", "bfloat16"])
def test_the_other_types_agree_with_the_oracle(dtype):
    fault, lines = results((dtype,))
    assert not fault, fault
    faults = wrong(lines, "conformance")
    assert not faults, faults
