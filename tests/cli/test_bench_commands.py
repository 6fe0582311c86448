"""``multirec bench`` and the commands under it, as users meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from multirec.cli import cli

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import documents

COMMANDS = ("run", "show", "compare", "plot", "history", "record", "env", "list")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., str]:
    def save(document: Any = None, name: str = "run.json") -> str:
        path = tmp_path / name
        path.write_text(json.dumps(documents.biquads() if document is None else document))
        return str(path)

    return save


def bench(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["bench", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def code_of(*arguments: str) -> int:
    """The exit code that `main` makes of what the command returns."""
    return int(cli.main(["bench", *arguments], standalone_mode=False) or 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_examples(name: str) -> None:
    text = bench(name, "--help").output
    assert "Exit codes:" in " ".join(text.split())
    assert "multirec bench" in text.split("Examples:")[1]


def test_the_help_of_bench_has_the_options_of_run_and_the_commands() -> None:
    text = bench("--help").output
    assert "--backend NAME" in text
    assert text.index("Options:") < text.index("Commands:")
    for name in COMMANDS:
        assert f"\n  {name} " in text


@pytest.mark.parametrize("arguments", [["-b", "refrence"], ["run", "-b", "refrence"]])
def test_options_of_run_follow_bench_directly(arguments: list[str]) -> None:
    result = bench(*arguments)
    assert result.exit_code == 2
    assert "Did you mean 'reference'?" in result.output


@pytest.mark.parametrize(("typed", "meant"), [("shwo", "show"), ("compar", "compare"), ("plott", "plot")])
def test_slips_of_the_finger_are_no_cases(typed: str, meant: str) -> None:
    result = bench(typed)
    assert result.exit_code == 2
    assert f"Did you mean {meant!r}?" in result.output


def completed(*words: str) -> set[str]:
    """What a shell offers for the last word."""
    environment = {"_MULTIREC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["multirec", *words])}
    environment["COMP_CWORD"] = str(len(words))
    code = "from multirec.cli import cli; cli(prog_name='multirec')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
        check=True,
    )
    return {line.partition(",")[2] for line in done.stdout.splitlines()}


def test_shells_complete_commands_options_and_values() -> None:
    assert {"show", "compare", "plot"} <= completed("bench", "")
    assert completed("bench", "sh") == {"show"}
    assert completed("bench", "den") == {"dense"}
    assert "--backend" in completed("bench", "--b")
    assert completed("bench", "show", "--format", "m") == {"markdown"}
    assert completed("be") == {"bench"}


@pytest.mark.parametrize(
    ("kind", "first"),
    [("table", "biquads: "), ("markdown", "* **case"), ("csv", "case,batch"), ("json", "{"), ("torch", "[---")],
)
def test_show_formats(saved: Callable[..., str], kind: str, first: str) -> None:
    result = bench("show", saved(), "--format", kind)
    assert result.exit_code == 0
    assert result.output.startswith(first)
    assert "\x1b" not in result.output
    if kind == "json":
        assert json.loads(result.output) == json.loads(json.dumps(documents.biquads()))


def test_show_reads_the_results_of_the_repository() -> None:
    files = (Path(__file__).parents[2] / "bench" / "results").glob("*.json")
    runs = [path for path in files if "multirec.bench/" in path.read_text()[:200]]
    assert runs
    for path in runs:
        result = bench("show", str(path))
        assert result.exit_code == 0
        assert "vs " in result.output
        assert max(map(len, result.output.splitlines())) <= 100


@pytest.mark.parametrize("command", [["show"], ["plot"], ["compare"]])
def test_what_is_no_result_is_refused(saved: Callable[..., str], tmp_path: Path, command: list[str]) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema": "multirec.bench/2",\n')
    more = [saved()] if command == ["compare"] else []
    for path, message in [
        (str(broken), "line 2, column 1: expected a field's name in double quotes; the file ends in the middle"),
        (str(tmp_path / "rnu.json"), "Did you mean"),
        (str(tmp_path), "It is a folder"),
        (saved({"schema": "multirec.bench/99"}, "future.json"), "pip install --upgrade multirec-bank"),
    ]:
        saved()
        result = bench(*command, path, *more)
        assert result.exit_code == 2, path
        assert message in result.output
        assert "Traceback" not in result.output


def lone() -> Any:
    """A document of a single cell, quick to draw."""
    return documents.document([documents.cell(0, "numba", 0.01)])


def slower() -> Any:
    document = documents.biquads()
    for cell in document["cells"]:
        if cell["contestant"] == "numba":
            cell["samples_s"] = [1.2 * seconds for seconds in cell["samples_s"]]
            cell["median_s"] *= 1.2  # type: ignore[operator]
    return document


def test_compare_is_a_gate(saved: Callable[..., str]) -> None:
    base, new = saved(), saved(slower(), "new.json")
    assert code_of("compare", base, new) == 0
    assert code_of("compare", base, new, "--fail-on", "10") == 3
    assert code_of("compare", base, new, "--fail-on", "30%") == 0
    assert code_of("compare", base, base, "--fail-on", "0") == 0
    # the times of one contestant scatter too much to exclude one per cent
    assert code_of("compare", base, base, "--fail-on", "1", "--strict") == 6
    assert code_of("compare", base, base, "--fail-on", "90", "--strict") == 0
    assert "regression beyond 10 %: numba forward " in bench("compare", base, new, "--fail-on", "10").output


def test_compare_prints_json(saved: Callable[..., str]) -> None:
    found = json.loads(bench("compare", saved(), saved(slower(), "new.json"), "--json").stdout)
    assert found["by"] == "times"
    outcomes = {(pair["contestant"], pair["mode"]): pair["outcome"] for pair in found["pairs"]}
    assert outcomes["numba", "forward"] == "slower"
    assert outcomes["scipy", "forward"] == "same"


def test_compare_of_nothing_in_common_is_wrong_usage(saved: Callable[..., str]) -> None:
    other = documents.document([documents.cell(0, "numba", 1.0)], [documents.case(length=7)])
    result = bench("compare", saved(), saved(other, "other.json"))
    assert result.exit_code == 2
    assert "no cell in common" in result.output


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")])
def test_plot_writes_what_the_suffix_says(
    saved: Callable[..., str], tmp_path: Path, suffix: str, begins: bytes
) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / f"figure.{suffix}"
    result = bench("plot", saved(lone()), "-o", str(output))
    assert result.exit_code == 0, result.output
    assert result.output.split() == [str(output)]
    assert output.read_bytes().startswith(begins)
    assert bench("plot", saved(), "-o", str(output)).exit_code == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_runs_of_one_name_are_told_apart(saved: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / "both.html"
    assert bench("plot", saved(lone()), saved(lone(), "again.json"), "-o", str(output)).exit_code == 0
    assert "example (1)" in output.read_text()
    assert "example (2)" in output.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "figure.gif"], "its suffix must be .png, .svg or .html"),
        (["-o", "/nowhere/at/all.png"], "there is no folder /nowhere/at"),
        (["--what", "ratio"], "an HTML report has all of them"),
        (["-o", "a.png", "--axis", "order"], "None was swept."),
        (["-o", "a.png", "--what", "speed"], "'time', 'ratio', 'memcpy', 'memory'"),
    ],
)
def test_plot_refuses_before_it_draws(saved: Callable[..., str], arguments: list[str], message: str) -> None:
    result = bench("plot", saved(), *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_plot_without_matplotlib_names_the_line_that_installs_it(
    saved: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multirec.cli._bench_plot.find_spec", lambda name: None)
    result = bench("plot", saved())
    assert result.exit_code == 2
    assert "pip install 'multirec-bank[bench]'" in result.output


def test_env_measures_and_advises(monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(bench("env", "--json").stdout)
    assert found["memcpy"] > 1e8
    assert found["floor"] >= 0.01
    assert found["rounds"] >= 6
    assert found["advice"]
    assert {"cpu", "cores", "threads", "load_before"} <= set(found["machine"])


def test_list_has_cases_contestants_and_runs(saved: Callable[..., str], tmp_path: Path) -> None:
    saved()
    (tmp_path / "other.json").write_text("{}")
    result = bench("list", str(tmp_path))
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "biquads" in text
    assert "reference" in text
    assert "run.json x[32, 16000]" in text
    assert "other.json is not a result of multirec bench" in text
    assert text.count("other.json") == 1
    assert max(map(len, result.output.splitlines())) <= 100
    assert bench("list", str(tmp_path / "none")).exit_code == 2
