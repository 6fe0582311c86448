"""What a run has found is kept line by line, and continued."""

from __future__ import annotations

from pathlib import Path

import broken
import devices
import fakes
import pytest
from runs import PressesCtrlC, Silent, asked, begun
from virtual import machine

from multirec.bench.measure.request import Request
from multirec.bench.measure.run import Run
from multirec.bench.results.cells import Results
from multirec.bench.results.journal import JournalError
from multirec.bench.results.write import document


def went(request: Request, journal: Path, progress: Silent | None = None, resume: bool = False) -> tuple[Run, Results]:
    with machine():
        run = begun(request, progress, journal, resume)
        return run, run.go()


def test_an_interrupted_run_is_continued(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    request = asked(fakes.Fake(), broken.Wrong())
    first, before = went(request, journal, PressesCtrlC())
    first.journal.close(done=False)
    request = asked(fakes.Fake(), broken.Wrong())
    second, results = went(request, journal, resume=True)
    second.journal.close(done=True)
    right, wrong = results.cells
    before = before.cells[0]
    assert wrong.status == "failed_check"
    assert right.samples[: len(before.samples)] == before.samples
    assert len(right.samples) > len(before.samples)
    assert right.rounds == sorted(set(right.rounds))
    assert any("Continued" in note for note in results.notes)
    assert not journal.exists()


def test_every_hot_and_host_sample_of_a_gpu_is_kept_and_continued(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    first, found = went(asked(devices.OnDevice()), journal, PressesCtrlC("on_device forward"))
    before = found.cells[0]
    first.journal.close(done=False)
    _, results = went(asked(devices.OnDevice()), journal, resume=True)
    (cell,) = document(results)["cells"]
    assert cell["hot_samples_s"][: len(before.hot)] == before.hot != []
    assert cell["hot_samples_s"] == [seconds / 2 for seconds in cell["samples_s"]]
    assert cell["host_samples_s"] == pytest.approx([seconds / 10 for seconds in cell["samples_s"]])
    assert cell["hot_s"] == pytest.approx(cell["median_s"] / 2)
    assert cell["host_s"] == pytest.approx(cell["median_s"] / 10)


def test_what_a_journal_has_settled_is_not_run_again(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    request = asked(fakes.Fake(), broken.Wrong())
    went(request, journal)
    progress = Silent()
    _, results = went(request, journal, progress, resume=True)
    assert [cell.status for cell in results.cells] == ["ok", "failed_check"]
    assert progress.steps == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a journal"),
        ('{"journal": "else"}\n', "not a journal"),
        ("[]\n", "line 1, is not an object"),
        ('{"journal"\n{}\n', "line 1, is not JSON"),
        ('{"journal": "multirec.bench.journal/3", "run": {"seed": 7}}\n', "contestants differ"),
    ],
)
def test_a_foreign_journal_is_refused(tmp_path: Path, text: str, message: str) -> None:
    journal = tmp_path / "run.json.journal"
    journal.write_text(text)
    with pytest.raises(JournalError, match=message):
        begun(asked(fakes.Fake()), Silent(), journal, True)
    assert journal.read_text() == text


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    went(asked(broken.Wrong()), journal)
    whole = journal.read_text()
    journal.write_text(whole[:-20])
    results = begun(asked(broken.Wrong()), Silent(), journal, True).results
    assert results.cells[0].open
