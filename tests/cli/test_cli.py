"""The command line as users meet it: in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ("-B", "2", "-C", "9", "-T", "20", "--time", "20s")


def multirec(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "multirec", *arguments]
    environment = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_help_shows_examples_and_imports_little() -> None:
    code = "import sys; from multirec.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "multirec bench -b numba -b scipy" in done.stdout
    modules = set(done.stdout.splitlines()[-1].split())
    assert not modules & {"torch", "jax", "scipy", "numba", "rich", "multirec.bench.measure.run", "multirec.cli._bench"}


@pytest.mark.parametrize("name", ["bench", "backends", "explain", "check"])
def test_each_command_has_help_with_examples(name: str) -> None:
    done = multirec(name, "--help")
    assert done.returncode == 0
    assert f"multirec {name}" in done.stdout.split("Examples:")[1]
    assert "Exit codes:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_bench_prints_a_table() -> None:
    done = multirec("bench", "-b", "reference", *SMALL)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "x[2, 20] -> y[2, 9, 20], order 2, float32" in done.stdout
    assert "forward+backward" in done.stdout
    assert "reference forward: ok" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.long
def test_bench_takes_half_types() -> None:
    names = ("-b", "torch_loop", "-b", "scipy")
    done = multirec("bench", *names, "--dtype", "float16,bfloat16", "--mode", "forward", "--json", *SMALL)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [case["dtype"] for case in document["cases"]] == ["float16", "bfloat16"]
    rows = {(row["case"], row["contestant"]): (row["status"], row["reason"]) for row in document["cells"]}
    assert len(rows) == 4
    assert [rows.pop(key) for key in list(rows) if rows[key][0] == "unsupported"] == [
        ("unsupported", "NumPy has no bfloat16")
    ]
    assert {status for status, _ in rows.values()} == {"ok"}


def test_bench_json_is_one_document_and_is_saved(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    names = ("-b", "reference", "-b", "torchlpc")
    done = multirec("bench", *names, "--mode", "forward", "--json", "-o", str(output), *SMALL)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.loads(output.read_text()) == document
    assert document["schema"] == "multirec.bench/2"
    rows = {row["contestant"]: row for row in document["cells"]}
    assert set(rows) == {"reference", "torchlpc"}
    assert rows["reference"]["status"] == "ok"
    assert rows["reference"]["median_s"] > 0
    assert rows["reference"]["memcpy_fraction"] > 0
    assert {"mode", "reason", "peak_bytes", "check", "first_call_s"} <= set(rows["reference"])
    assert list(tmp_path.iterdir()) == [output]


def test_a_check_that_hangs_is_named_and_ends_the_command() -> None:
    code = """
import sys, time, types
import multirec as mr
from multirec.backend import BackendInfo
from multirec.cli import main

module = sys.modules["hangs"] = types.ModuleType("hangs")
module.kernel = types.SimpleNamespace(forward=lambda problem, operands, allocate: time.sleep(60))
mr.register_backend(BackendInfo(
    name="hangs", summary="never returns", kernel="hangs:kernel", family="numpy", dtypes=("float32",)
))
main(["check", "hangs", "--limit", "1s"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 8, done.stderr
    assert done.stdout == (
        "hangs: HUNG  values (numpy): no end after 1 s; nothing is checked after it. Where it hangs is on stderr.\n"
    )
    assert "s] 1/" in done.stderr
    assert "in <lambda>" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bench", "-b", "refrence"), "Did you mean 'reference'?"),
        (("bench", "-T", "0"), "not a whole number of at least 1"),
        (("bench", "-T", "4k:1k"), "goes down, from 4000 to 1000"),
        (("bench", "-T", "1k:64k:x1"), "never ends"),
        (("bench", "-T", "1:1000", "-C", "1,2"), "add --yes to mean it"),
        (("bench", "dens"), "Did you mean 'dense'?"),
        (("bench", "biquds"), "Did you mean 'biquads'?"),
        (("bench", "biquads", "a.json"), "To see a saved run: multirec bench show a.json"),
        (("bench", "-b", "numba,scipy"), "Give each name its own -b: -b numba -b scipy"),
        (("bench", "layer", "--layout", "BCT"), "needs the features last"),
        (("bench", "--quick", "--rigorous"), "opposite"),
        (("bench", "--resume"), "Name it with -o"),
        (("bench", "--resume", "-o", "nothing.json"), "nothing to continue"),
        (("bench", "--mode", "backward"), "forward+backward"),
        (("bench", "--time", "soon"), "is not a duration"),
        (("bench", "--mode", "forwrd"), "Did you mean 'forward'?"),
        (("bench", "--dtype", "int8"), "float32"),
        (("bench", "-o", "/nowhere/at/all.json"), "there is no folder /nowhere/at"),
        (("bench", "-o", "/proc/results.json"), "not writable"),
        (("bench", "-o", "."), "is a folder"),
        (("check", "refrence"), "Did you mean 'reference'?"),
        (("explain", "-b", "refrence"), "Did you mean 'reference'?"),
        (("explain", "--device", "gpu"), "no installed backend knows a device 'gpu'"),
        (("explain", "--device", "cuda:first"), "no installed backend knows a device 'cuda:first'"),
        (("explain", "--family", "numpy", "--device", "cuda"), "numpy has no arrays on cuda"),
        (("bnech",), "Did you mean 'bench'?"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_to_do(arguments: tuple[str, ...], message: str) -> None:
    done = multirec(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_what_an_interrupted_run_left_is_continued_or_dropped_on_demand(tmp_path: Path) -> None:
    output, journal = tmp_path / "results.json", tmp_path / "results.json.journal"
    output.write_text("{}")
    journal.write_text("precious")
    done = multirec("bench", "-b", "torchlpc", "-o", str(output))
    assert done.returncode == 2
    assert "Add --resume to continue it, or --force to drop it" in done.stderr
    journal.unlink()
    done = multirec("bench", "-b", "torchlpc", "-o", str(output), "--resume")
    assert done.returncode == 2
    assert "nothing to continue. Run with --force, which replaces it" in done.stderr


@pytest.mark.long
def test_an_existing_output_is_kept_unless_forced(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    output.write_text("precious")
    done = multirec("bench", "-b", "torchlpc", "-o", str(output))
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert output.read_text() == "precious"
    multirec("bench", "-b", "reference", "--mode", "forward", "-o", str(output), "--force", *SMALL)
    assert json.loads(output.read_text())["cells"]


def test_a_size_that_does_not_fit_is_said_before_anything_is_allocated() -> None:
    began = time.monotonic()
    done = multirec("bench", "-b", "reference", "-B", "1000000", "-T", "10000000", "--json")
    assert time.monotonic() - began < 20
    assert done.returncode == 5
    for row in json.loads(done.stdout)["cells"]:
        assert row["status"] == "skipped"
        assert "TiB" in row["reason"]


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "multirec_command", "bench", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_ctrl_c_is_exit_130_with_results_that_can_be_continued(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    arguments = ["-b", "reference", "-o", str(output), "--json", *("-B", "2", "-C", "9", "-T", "200", "--time", "100s")]
    process = started(*arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if "measure" in line:
            break
    time.sleep(1)
    # twice: the second one finds the first at work
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    document = json.loads(stdout)
    assert document["run"]["interrupted"] is True
    assert json.loads(output.read_text()) == document
    assert all(row["status"] in ("ok", "skipped") for row in document["cells"])
    assert any("--resume" in note for note in document["notes"])
    refused = multirec("bench", *arguments)
    assert refused.returncode == 2
    done = multirec("bench", *arguments[:-1], "12s", "--resume")
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)
    assert [row["status"] for row in after["cells"]] == ["ok", "ok"]
    before = document["cells"][0]["samples_s"]
    assert after["cells"][0]["samples_s"][: len(before)] == before
    assert list(tmp_path.iterdir()) == [output]


# earlier, on a busy machine, it may reach the interpreter before any code of ours
@pytest.mark.parametrize("seconds", [0.4, *(pytest.param(each, marks=pytest.mark.long) for each in (0.6, 0.9, 1.5))])
def test_ctrl_c_at_any_moment_leaves_a_readable_result(seconds: float, tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    process = started("-b", "reference", "-b", "torch_loop", "-o", str(output), "--json", *SMALL)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    document = json.loads(stdout)
    assert json.loads(output.read_text()) == document
    assert len(document["cells"]) == 4
    assert {row["status"] for row in document["cells"]} <= {"ok", "skipped"}


def test_ctrl_c_before_the_first_import_is_kept_for_the_run(tmp_path: Path) -> None:
    code = "import signal, multirec_command as c; h = signal.signal; "
    code += "c.signal.signal = lambda *a: (h(*a), signal.raise_signal(2)); c.main()"
    command = [sys.executable, "-c", code, "bench", "-b", "reference", "--json", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130, done.stderr
    assert {row["status"] for row in json.loads(done.stdout)["cells"]} == {"skipped"}


@pytest.mark.long
def test_a_sweep_of_named_cases_has_a_row_for_each_cell() -> None:
    sizes = ("-B", "1", "-C", "3", "-T", "50:200:x2", "--layout", "BCT,TBC")
    done = multirec("bench", "dense", "gated", "-b", "reference", "--mode", "forward", *sizes, "--time", "8s", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["cases"]) == len(document["cells"]) == 12
    assert {row["status"] for row in document["cells"]} == {"ok"}
    assert {row["axis"] for row in document["fits"]} == {"length"}


def test_backends_lists_reference() -> None:
    done = multirec("backends", "--json")
    assert done.returncode == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["reference"]["status"] == "ready"
    table = multirec("backends").stdout
    assert "reference" in table
    assert max(map(len, table.splitlines())) <= 100


def test_explain_names_the_choice() -> None:
    done = multirec("explain", "--family", "numpy", "-C", "4", "-T", "100")
    assert done.returncode == 0
    assert "auto picks:" in done.stdout
    assert "4 channels" in done.stdout
    assert multirec("explain", "--coefficients", "time-varying", "--layout", "TBC").returncode == 0
    assert multirec("explain", "--coefficients", "per-example", "--dense").returncode == 0
    assert "order 0" in multirec("explain", "--order", "0").stdout
    assert "reference is asked for, and computes this" in multirec("explain", "-b", "reference").stdout
    assert multirec("explain", "-b", "reference", "--device", "cuda:0").returncode == 5
