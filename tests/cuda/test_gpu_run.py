"""`make gpu` on a stand-in for a GPU: every step runs to its end, and what it finds agrees with the reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import pytest

HERE = Path(__file__).parent
BENCH = HERE.parents[1] / "bench"


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
    benchmark, checks = (
        json.loads((tmp_path / "results" / f"h200-{name}.json").read_text())["rows"] for name in ("benchmark", "checks")
    )
    modes = {}
    for row in benchmark:
        modes.setdefault(row["item"], set()).add(row.get("mode"))
    own = {"W1 biquads", "W2 dense", "W3 long", "W4 order 16", "W5 gated", "W8 complex"}
    assert all(modes[name] >= {"check", "forward", "backward", "forward+backward"} for name in own)
    assert "host time of a call" in modes["W7 streaming"]
    assert {row["step"] for row in checks} == {"compiling", "kernels", "conformance", "faults", "sanitizer"}
    assert {row["item"]: row["reason"] for row in checks if row["status"] != "ok"} == {
        "capture": "a stand-in does not replay"
    }


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    return import_module("gpu.run")


CHILD = """
import faulthandler, os, sys, time
sys.path.insert(0, {bench!r})
from pathlib import Path
from time import perf_counter
from gpu.results import Results
results, first = Results(Path({folder!r}), "card", "checks"), int(sys.argv[1])
results.note(step="kernels", items=["fine", "crashes", "hangs", "last"])
for number in range(first, 4):
    results.note(begun=number)
    if number == 1: os.kill(os.getpid(), 9)
    if number == 2:
        faulthandler.dump_traceback_later(0.2, exit=True)
        time.sleep(60)
    results.add(step="kernels", item=results.document["items"][number], status="ok")
"""


def test_a_crash_and_a_hang_cost_their_own_item(run, tmp_path, monkeypatch):
    program = CHILD.format(bench=str(BENCH), folder=str(tmp_path))

    def attempt(command, limit, log, own=run.attempt):
        first = command[command.index("--first") + 1]
        return own([sys.executable, "-c", program, first], limit, log)

    monkeypatch.setattr(run, "attempt", attempt)
    runner = run.Runner(tmp_path, "card", perf_counter())
    runner.step("kernels", 30, 0.2)
    rows = {row["item"]: (row["status"], row.get("reason", "")) for row in runner.results("kernels").document["rows"]}
    assert rows["fine"] == rows["last"] == ("ok", "")
    assert rows["crashes"] == ("failed", "the process ended with exit code -9")
    assert rows["hangs"] == ("failed", "the process ended with exit code 1, or longer than 0 s")
    assert "File" in (tmp_path / "card-log.txt").read_text(), "the log does not say where it hung"
    assert len(runner.results("kernels").faults) == 2


def test_a_step_that_does_not_start_or_end_is_a_row(run, tmp_path, monkeypatch):
    runner = run.Runner(tmp_path, "card", perf_counter())
    monkeypatch.setattr(run, "BENCH", tmp_path)
    runner.step("kernels", 20, 10)
    (tmp_path / "gpu.py").write_text(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    )
    runner.step("faults", 0.5, 10)
    rows = runner.results("kernels").document["rows"]
    assert [(row["step"], row["item"], row["status"]) for row in rows] == [
        ("kernels", "start", "failed"),
        ("faults", "start", "failed"),
    ]
    assert rows[1]["reason"] == "cut short"


def test_results_name_no_folders_and_a_peer_fails_alone(run, tmp_path):
    results = run.Results(tmp_path, "card", "benchmark")
    reason = "ImportError: /opt/else/libx.so: 1/2 symbols, see /home/me/.cache/y.py:3"
    results.add(step="benchmark", item="peer: x", status="failed", reason=reason)
    results.add(step="benchmark", item="W1", status="failed", reason="")
    written = (tmp_path / "card-benchmark.txt").read_text()
    assert "reason ImportError: libx.so: 1/2 symbols, see y.py:3\n" in written
    assert results.faults == ["step benchmark  item W1  status failed  reason "]


def test_without_a_gpu_it_says_what_it_needs(tmp_path):
    command = [sys.executable, "-m", "gpu", "--results", str(tmp_path / "results")]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)
    if done.returncode != 2:
        pytest.skip("there is a GPU here")
    assert "make gpu needs torch and CuPy" in done.stderr
    assert not (tmp_path / "results").exists()
