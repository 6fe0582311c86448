"""A history: each machine on its own, times in copies of memory, and a step only where nothing else explains it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import documents
import pytest
from click.testing import CliRunner, Result

from multirec.bench.results.history import history
from multirec.bench.show.history import history_report
from multirec.cli import cli


def run(seconds: float, commit: str, day: int, speed: float = 1.0, **machine: Any) -> Any:
    """A run of numba and SciPy on a machine on which all takes `speed` times as long, copies of memory too."""
    found: Any = documents.document([documents.cell(0, "numba", seconds), documents.cell(0, "scipy", 0.4)])
    for row in found["cells"]:
        for name in ("median_s", "low_s", "high_s"):
            row[name] *= speed
        row["samples_s"] = [speed * each for each in row["samples_s"]]
    found["calibration"]["memcpy_bytes_per_s"]["cpu"] /= speed
    found["git"] = {"commit": 16 * commit, "dirty": False}
    found["run"]["started"] = f"2026-11-{day:02}T00:00:00Z"
    found["machine"] |= machine
    return found


THREE = [run(0.02, "a", 1), run(0.0201, "b", 2), run(0.012, "c", 3)]


def date(document: Any) -> str:
    return str(document["run"]["started"])


def changes(documents: list[Any], name: str = "numba") -> list[str]:
    (place,) = history(documents, date)
    return [point.change for track in place.tracks if track.contestant == name for point in track.points]


def test_three_commits_have_one_step() -> None:
    assert changes(THREE[::-1]) == ["first", "same", "faster"]
    assert changes(THREE, "scipy") == ["first", "same", "same"]
    (place,) = history(THREE, date, ["numba"])
    (track,) = place.tracks
    step = track.points[2]
    assert (step.run, step.since) == (2, 0)
    assert step.speed == pytest.approx(0.02 / 0.012, rel=0.02)
    traffic = documents.case()["traffic_bytes"]["forward"]
    assert step.copies == pytest.approx(0.012 * documents.MEMCPY / traffic, rel=0.02)


def test_a_slower_day_is_no_step() -> None:
    assert changes([run(0.02, "a", 1), run(0.02, "b", 2, speed=1.6)]) == ["first", "same"]


def test_small_changes_add_up_to_a_step() -> None:
    assert changes([run(0.02 * 1.018**day, "a", day) for day in (1, 2, 3, 4, 5)])[-1] == "slower"
    # and from there on it is compared with the step
    assert changes([*THREE, run(0.0121, "d", 4)]) == ["first", "same", "faster", "same"]


def test_nothing_is_a_step_within_the_floor_or_without_one() -> None:
    wide = [run(0.02, "a", 1), run(0.012, "b", 2)]
    for row in wide[0]["floors"]:
        row["floor"] = 2.0
    assert changes(wide) == ["first", "same"]
    for document in wide:
        document["floors"] = []
    assert changes(wide) == ["first", "unclear"]


def test_a_copy_that_is_not_known_well_hides_a_step() -> None:
    shaky = [run(0.02, "a", 1), run(0.0185, "b", 2)]
    assert changes(shaky) == ["first", "faster"]
    for document in shaky:
        document["calibration"]["samples_s"]["cpu"] = [0.01, 0.02] * 8
    assert changes(shaky) == ["first", "unclear"]


def test_what_has_no_time_or_no_copy_is_no_point() -> None:
    gone = run(0.02, "b", 2)
    gone["cells"][0] = documents.untimed(0, "numba", "crash", "SIGSEGV")
    alone = run(0.012, "c", 3)
    alone["cells"][0]["memcpy_fraction"] = None
    assert changes([run(0.02, "a", 1), gone, alone, run(0.02, "d", 4)]) == ["first", "untimed", "untimed", "same"]


@pytest.mark.parametrize("other", [{"id": "99"}, {"threads": 1}, {"gpus": ["Example GPU"]}])
def test_machines_are_kept_apart(other: dict[str, Any]) -> None:
    places = history([*THREE, run(0.5, "d", 4, **other)], date)
    assert [len(place.runs) for place in places] == [3, 1]
    assert len({place.machine for place in places}) == 2
    assert all(point.change == "first" for track in places[1].tracks for point in track.points)
    lines = "\n".join(line.text for line in history_report(places, []))
    assert "2 machines" in lines


@pytest.mark.parametrize("width", [72, 100])
def test_the_report_fits_and_names_the_step(width: int) -> None:
    many = [documents.cell(0, f"contestant_{place}", 0.1) for place in range(9)]
    last = documents.document(many)
    last["run"]["started"] = "2026-11-09T00:00:00Z"
    THREE[2]["versions"]["torch"] = "2.14.0"
    text = [line.text for line in history_report(history([*THREE, last], date), ["left out: x"], width)]
    assert max(map(len, text)) <= width
    whole = " ".join(" ".join(text).split())
    assert "▼ cccccccccc: numba 1.67× faster" in whole
    assert "than in aaaaaaaaaa" in whole
    assert "other versions in cccccccccc: torch 2.13.0 → 2.14.0" in whole
    assert all(f"contestant_{place}" in whole for place in range(9))
    assert "note: left out: x" in whole


def saved(path: Path, runs: list[Any]) -> Path:
    for place, document in enumerate(runs):
        (path / f"{place}.json").write_text(json.dumps(document))
    return path


def asked(*words: Any) -> Result:
    return CliRunner().invoke(cli, ["bench", "history", *map(str, words)])


def test_a_folder_is_shown_and_what_is_no_run_is_named(tmp_path: Path) -> None:
    (saved(tmp_path, THREE) / "other.json").write_text('{"schema": "multirec.bench/1"}')
    result = asked(tmp_path, tmp_path / "1.json", "-b", "numba", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    (machine,) = found["machines"]
    # a file is one run, however often it is named
    assert [each["git"]["commit"][0] for each in machine["runs"]] == ["a", "b", "c"]
    assert [point["change"] for point in machine["tracks"][0]["points"]] == ["first", "same", "faster"]
    assert "other.json was written by another version" in found["notes"][0]


def test_it_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "history.svg"
    assert asked(saved(tmp_path, THREE), "-o", picture).exit_code == 0
    assert picture.read_text().startswith("<?xml")
    assert asked(tmp_path, "-o", picture).exit_code == 2


def test_commits_order_runs_where_git_knows_them(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    commits = []
    for place in range(2):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", str(place)], check=True)
        commits.append(subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip())
    # the older commit was measured later
    runs = [run(0.02, "a", 2), run(0.012, "b", 1)]
    for document, commit in zip(runs, commits, strict=True):
        document["git"]["commit"] = commit
    (tmp_path / "runs").mkdir()
    saved(tmp_path / "runs", runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        found = json.loads(asked("runs", "--by", "commit", "--json").output)
        assert [each["git"]["commit"] for each in found["machines"][0]["runs"]] == commits
        saved(tmp_path / "runs", THREE)
        assert "git does not know all commits" in asked("runs", "--by", "commit").output


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    assert "there is no saved run in" in asked(tmp_path).output
    result = asked(saved(tmp_path, THREE), "-b", "nobody")
    assert result.exit_code == 2
    assert "The runs have numba, scipy" in " ".join(result.output.split())
