"""What a program has multirec compute: recorded as it is called, read back, and timed as cases or said to be none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import documents
import pytest
from click.testing import CliRunner

from multirec.bench.cases.case import Case
from multirec.bench.cases.recorded import case_of
from multirec.bench.results.recording import SCHEMA, load_recorded, merged, replay
from multirec.bench.show.shares import shares, wholes
from multirec.cli import cli
from multirec.errors import ArgumentError

START = datetime(2026, 12, 1, tzinfo=UTC)


def taps(count: int, **changes: Any) -> Any:
    return {"batch": 1, "channels": 8, "time": 1, "taps": count, "dtype": "float32"} | changes


def row(**changes: Any) -> Any:
    found: dict[str, Any] = {
        "kind": "recurrence",
        "detail": "",
        "backend": "numba",
        "counted": "calls",
        "family": "torch",
        "device": "cpu",
        "dtype": "float32",
        "y_dtype": "float32",
        "compute_dtype": "float32",
        "layout": "BCT",
        "reverse": False,
        "batch": 4,
        "channels": 8,
        "length": 500,
        "x_channels": 1,
        "feedforward": taps(3),
        "feedback": taps(2),
        "inputs": False,
        "outputs": False,
        "forward": 5,
        "backward": 3,
    }
    return found | changes


def file(*rows: Any) -> Any:
    return merged([list(rows)], START, {"python": "3.11.7"})


PROGRAM = """
import os, sys
import numpy as np, multirec as mr
x, a = np.ones((2, 1, 60)), np.full((3, 2), 0.1)
y, state = mr.recurrence(x, feedback=a)
for _ in range(4):
    y, state = mr.recurrence(x, feedback=a, state=state)
mr.adjoint.vjp(y, x, feedback=a, y=y)
mr.envelope(np.ones((1, 2, 50)), attack=0.5, release=0.1)
if hasattr(os, "fork"):
    if os.fork() == 0:
        mr.recurrence(x, feedback=a)
        os._exit(0)
    os.wait()
sys.exit(int(sys.argv[1]))
"""


def test_a_program_is_recorded_with_its_processes_and_ends_as_it_does(tmp_path: Path) -> None:
    program, output = tmp_path / "app.py", tmp_path / "app.json"
    program.write_text(PROGRAM)
    words = ["bench", "record", "-o", str(output), sys.executable, str(program), "7"]
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    assert result.return_value == 7
    found = load_recorded(output)
    # a child does not count again what its parent called
    plain, stateful, other = sorted(found["problems"], key=lambda each: (each["kind"] != "recurrence", each["outputs"]))
    forks = int(hasattr(os, "fork"))
    assert (plain["forward"], plain["backward"], stateful["forward"]) == (1 + forks, 1, 4)
    assert (plain["batch"], plain["channels"], plain["x_channels"], plain["length"]) == (2, 3, 1, 60)
    assert (plain["family"], plain["dtype"], plain["feedback"]["taps"]) == ("numpy", "float64", 2)  # type: ignore[index]
    assert (other["kind"], other["detail"], other["forward"]) == ("activated", "envelope", 1)
    assert found["processes"] == 1 + forks
    # neither values nor what the program was told
    assert str(tmp_path) not in output.read_text()


def test_a_program_that_calls_nothing_leaves_no_file(tmp_path: Path) -> None:
    output = tmp_path / "none.json"
    words = ["bench", "record", "-o", str(output), sys.executable, "-c", "pass"]
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    assert (result.return_value, output.exists()) == (5, False)
    assert "called nothing of multirec" in result.output


def test_what_cannot_be_run_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["bench", "record", "-o", str(tmp_path / "a.json"), "no-such-program"])
    assert result.exit_code == 2
    assert "'no-such-program' cannot be run" in result.output


def test_nothing_is_in_the_way_of_a_process_that_is_not_recorded() -> None:
    code = "import sys, numpy as np, multirec as mr; mr.recurrence(np.ones((1, 9)), feedback=np.full((1, 1), 0.5)); "
    code += "print('multirec._registry.recorded' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("changes", "case"),
    [
        ({}, Case(batch=4, channels=8, length=500)),
        (
            {"feedforward": None, "x_channels": 8},
            Case(batch=4, channels=8, length=500, shared=False, feedforward=False),
        ),
        ({"feedforward": taps(1)}, Case(batch=4, channels=8, length=500, input_taps=1)),
        ({"inputs": True, "outputs": True}, Case(batch=4, channels=8, length=500, stateful=True)),
        (
            {"feedforward": None, "feedback": taps(1, batch=4, time=500), "layout": "BTC", "x_channels": 8},
            Case(
                batch=4,
                channels=8,
                length=500,
                order=1,
                layout="BTC",
                shared=False,
                feedforward=False,
                time_varying=True,
            ),
        ),
        ({"dtype": "bfloat16", "y_dtype": "bfloat16"}, Case(batch=4, channels=8, length=500, dtype="bfloat16")),
    ],
)
def test_a_recorded_problem_is_timed_as_it_is(changes: Any, case: Case) -> None:
    found = case_of(row(**changes))
    assert isinstance(found, Case)
    assert found.describe() == case.describe()
    assert (found.x_shape, found.feedback_shape, found.taps) == (case.x_shape, case.feedback_shape, case.taps)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "sequences", "detail": "several sequences in a row of time"}, "one signal an example"),
        ({"kind": "activated", "detail": "sru with tanh", "feedforward": None, "feedback": None}, "a case is linear"),
        ({"kind": "sections", "detail": "3 second-order sections", "feedback": None}, "one filter a channel"),
        ({"kind": "frames", "detail": "a frame of coefficients every 80 samples"}, "coefficients that stay"),
        ({"reverse": True}, "time runs backwards"),
        ({"feedback": None}, "no feedback"),
        ({"length": 0}, "computes nothing"),
        ({"compute_dtype": "float64"}, "computed in float64"),
        ({"y_dtype": "complex64"}, "x is float32 and y complex64"),
        ({"dtype": "complex64", "y_dtype": "complex64"}, "coefficients are not all complex64"),
        ({"inputs": True}, "one part of the state"),
        ({"feedforward": taps(0)}, "its feedforward has no taps"),
        ({"feedforward": taps(3, batch=4)}, "its feedforward is of 4 × 8 channels"),
        ({"feedback": taps(2, batch=4)}, "its feedback is of 4 × 8 channels × 1 samples"),
    ],
)
def test_what_no_case_is_has_a_reason(changes: Any, reason: str) -> None:
    found = case_of(row(**changes))
    assert isinstance(found, str)
    assert reason in found
    # and is listed with its calls beside what is timed
    listed = replay(file(row(), row(**changes)), "app.json").recording["left_out"]
    assert [(left["reason"], left["calls"]) for left in listed] == [(found, 5)]


def test_counts_of_processes_add_up_and_of_libraries_are_one_case() -> None:
    parts = [[row()], [row(), row(family="jax", counted="traces", forward=1, backward=0)]]
    found = merged(parts, START, {})
    assert [(each["family"], each["forward"], each["backward"]) for each in found["problems"]] == [
        ("torch", 10, 6),
        ("jax", 1, 0),
    ]
    asked = replay(found, "app.json")
    assert len(asked.cases) == 1
    assert [(each["mode"], each["calls"], each["traced"]) for each in asked.recording["calls"]] == [
        ("forward", 5, True),
        ("forward+backward", 6, True),
    ]


def test_cases_are_in_the_order_of_what_they_move() -> None:
    asked = replay(file(row(length=100, forward=900), row(forward=9)), "app.json")
    assert [(case.name, case.length) for case in asked.cases] == [("recorded 1", 100), ("recorded 2", 500)]


def write(path: Path, content: Any) -> Path:
    target = path / "recorded.json"
    target.write_text(content if isinstance(content, str) else json.dumps(content))
    return target


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert load_recorded(write(tmp_path, file(row()))) == file(row())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "truncated"),
        (lambda text: text.replace(SCHEMA, "multirec.recorded/9"), "Upgrade with"),
        (lambda text: text.replace(SCHEMA, "multirec.recorded/0"), "Record it again"),
        (lambda text: text.replace(SCHEMA, "multirec.bench/2"), "is not a recording of multirec"),
        (
            lambda text: text.replace('"length": 500', '"length": "500"'),
            r"\[0\].length: expected a whole number",
        ),
        (lambda text: text.replace('"length": 500', '"length": -5'), r"problems\[0\].length: expected a count"),
        (lambda text: text.replace('"length": 500, ', ""), r"problems\[0\]: expected a field 'length'"),
        (lambda text: text.replace('"BCT"', '"CBT"'), r"problems\[0\].layout: expected one of BCT, BTC, TBC"),
        (lambda text: text.replace('"x_channels": 1', '"x_channels": 5'), r"x_channels: expected 1 or 8"),
        (lambda text: text.replace('"time": 1', '"time": 7'), r"feedforward.time: expected 1 or 500"),
        (
            lambda text: text.replace('"forward": 5', '"forward": 0').replace('"backward": 3', '"backward": 0'),
            "one call",
        ),
        (lambda text: "", "is empty"),
        (lambda text: json.dumps(json.loads(text) | {"problems": []}), "called nothing"),
    ],
)
def test_a_broken_recording_is_refused_with_its_place(tmp_path: Path, change: Any, said: str) -> None:
    path = write(tmp_path, change(json.dumps(file(row()))))
    with pytest.raises(ArgumentError, match=said):
        load_recorded(path)
    result = CliRunner().invoke(cli, ["bench", "run", "--recorded", str(path)])
    assert result.exit_code == 2
    assert "recorded.json" in result.output


def test_other_problems_are_not_timed_beside_a_recording(tmp_path: Path) -> None:
    path = str(write(tmp_path, file(row())))
    for words in (["dense"], ["-T", "100"]):
        result = CliRunner().invoke(cli, ["bench", "run", *words, "--recorded", path])
        assert result.exit_code == 2
        assert "--recorded times the problems of its file as they are" in result.output


def test_shares_are_of_calls_times_medians() -> None:
    document: Any = documents.recorded()
    (whole,) = wholes(document, document["recording"])
    assert whole.contestant == "numba"
    assert whole.seconds == pytest.approx(30 * 0.01 + 50 * 0.002, rel=0.02)
    text = "\n".join(line.text for line in shares(document))
    assert all(len(line.text) <= 72 for line in shares(document, 72))
    assert "   75%       30 ×  forward" in text
    assert "   25%       50 ×  forward" in text
    assert "not timed (4 ×): x of 1 × 2 channels: time runs backwards" in text


def test_runs_of_cases_have_no_shares() -> None:
    assert list(shares(documents.biquads())) == []
