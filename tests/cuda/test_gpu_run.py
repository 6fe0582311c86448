"""`make gpu` on a stand-in for a GPU: every step runs to its end, and what it finds agrees with the reference."""

from __future__ import annotations

import json
import os
import re
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
    found, checks = (
        json.loads((tmp_path / "results" / f"h200-{name}.json").read_text()) for name in ("benchmark", "checks")
    )
    benchmark, checks = found["rows"], checks["rows"]
    modes = {}
    for row in benchmark:
        modes.setdefault(row["item"], set()).add(row.get("mode"))
    whole = {"check", "forward", "backward", "forward+backward"}
    own = [item for item in found["items"] if re.match(r"W[1-58]|order", item)]
    assert [item for item in own if not modes[item] >= whole] == []
    layouts = {f"W{work}, {layout}" for work in (1, 2, 5) for layout in ("BTC", "TBC")}
    units = ("IndRNN, TBC", "SRU, TBC", "SRU, TBC, bfloat16", "envelope, BCT", "frames of order 16")
    assert [item for item in units if not modes[item] >= whole] == []
    assert layouts | {"W1, T odd", "W2, x sliced", "order 16, varying, 8 rows"} < set(own)
    assert "host time of a call" in modes["W7 streaming"]
    assert {"torch.add", "forward", "forward with gradient", "forward+backward"} < modes["host time"]
    assert all(modes[peer] == {"forward", "forward+backward"} for peer in modes if "fla" in peer or "scan " in peer)
    faulty = [row for row in benchmark if row["status"] not in ("ok", "skipped")]
    assert faulty == []
    # a stand-in does not replay, and torchaudio may be absent
    unmeasured = {goal["goal"] for goal in found["goals"] if goal["met"] == "not measured"}
    assert unmeasured == {"BandpassBank(128), captured: of_captured ≤ 1.5"}
    assert found["clocks"].startswith("unknown") or "MHz" in found["clocks"]
    assert "W1 biquads, forward: fraction ≥ 0.85" in (tmp_path / "results" / "h200-benchmark.txt").read_text()
    assert {row["step"] for row in checks} == {"compiling", "kernels", "conformance", "faults", "sanitizer"}
    assert {row["item"]: row["reason"] for row in checks if row["status"] != "ok"} == {
        "capture": "a stand-in does not replay",
        "capture_of_layers": "a stand-in does not replay",
    }
    harness_finds_who_cheats(tmp_path / "results")


def harness_finds_who_cheats(folder):
    found = json.loads((folder / "bench.json").read_text())
    cells = {cell["contestant"]: cell for cell in found["cells"]}
    assert {name: cell["status"] for name, cell in cells.items()} == {
        **dict.fromkeys(("numba", "reference", "cupy", "unfold_scan"), "ok"),
        **dict.fromkeys(("on_other_stream", "stale"), "bad_time"),
    }
    assert "it returned the result of an earlier call" in cells["stale"]["reason"]
    assert "work outside the timed stream" in cells["on_other_stream"]["reason"]
    # whichever is faster here, numba on the host's arrays is not what cupy on the device's is compared with
    assert [(row["device"], row["picked"]) for row in found["regret"]] == [("cpu", "numba"), ("cuda", "cupy")]
    assert {row["fastest"] for row in found["regret"] if row["device"] == "cuda"} <= {"cupy", "unfold_scan"}
    text = " ".join((folder / "bench.txt").read_text().split())
    assert "picks cupy for arrays on cuda" in text
    assert "slowed down by its power limit" in text


GOALS = """
goals = [
  { items = ["A", "B"], mode = "forward", figure = "fraction", at_least = 0.5 },
  { items = ["A"], mode = "both", figure = "cold", at_most = 1.05, over = "scans" },
]
[peers]
scans = ["peer: x", "peer: y", "peer: absent"]
"""


@pytest.mark.parametrize(
    ("rows", "met"),
    [
        ([("A", "forward", 0.5), ("B", "forward", 0.4)], ["met", "not met", "not measured"]),
        ([("A", "both", 10.0)], ["not measured"] * 3),
        ([("A", "both", 10.0), ("peer: x", "both", 20.0), ("peer: y", "both", 9.6)], [*["not measured"] * 2, "met"]),
        (
            [("A", "both", 10.0), ("peer: x", "both", 20.0), ("peer: y", "both", 9.0)],
            [*["not measured"] * 2, "not met"],
        ),
    ],
)
def test_goals_are_met_or_not_or_not_measured(run, tmp_path, rows, met):
    path = tmp_path / "goals.toml"
    path.write_text(GOALS)
    found = [
        {"item": item, "mode": mode, "status": "ok", "cold": value, "fraction": value} for item, mode, value in rows
    ]
    assert [goal["met"] for goal in run.verdicts(found, path)] == met
    wrong = [row | {"status": "wrong"} for row in found]
    assert [goal["met"] for goal in run.verdicts(wrong, path)] == ["not measured"] * 3


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    return import_module("gpu.run")


@pytest.mark.skipif(not find_spec("torch"), reason="make gpu needs torch")
@pytest.mark.parametrize(
    ("cold", "wall", "reason"),
    [
        # 212 MB at 3.15 TB/s take 67 µs, and the cache keeps the rest
        (70.0, 100.0, None),
        (65.0, 100.0, "did not do all of the work"),
        (100.0, 240.0, None),
        (100.0, 260.0, "work outside the timed stream"),
    ],
)
def test_a_time_that_cannot_be_is_wrong(run, monkeypatch, cold, wall, reason):
    timing = import_module("gpu.steps.timing")
    monkeypatch.setattr(timing, "cache_bytes", lambda: 50_000_000)
    times = timing.Times(cold=cold, hot=cold, low=cold, high=cold, host=60.0, wall=wall)
    found = timing.fault_of(times, 262_000_000, {"write": 3e12, "copy": 2.9e12})
    assert found.get("status") == ("wrong" if reason else None)
    assert (reason or "") in found.get("reason", "")


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
