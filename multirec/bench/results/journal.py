"""What a run has found so far, line by line beside its output, so that an end at any moment loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TextIO

from ..contestants import Sample
from .cells import Cell, Group, Results

FORMAT = "multirec.bench.journal/3"


class JournalError(ValueError):
    """A journal cannot be continued; the message says why and what to do."""


class Journal:
    """Writes lines of JSON to `path`; without a path, to nowhere. The first line identifies the run."""

    def __init__(self, path: Path | None = None, identity: dict[str, Any] | None = None) -> None:
        self.path = path
        self._file: TextIO | None = None
        if path is not None:
            new = not path.exists()
            self._file = path.open("a", buffering=1)
            if new:
                self._write({"journal": FORMAT, "run": identity})

    def settled(self, cell: Cell) -> None:
        """Keep a cell that has its status."""
        self._write({"settled": asdict(cell)})

    def sample(self, cell: Cell, sample: Sample, copy: bool) -> None:
        """Keep the newest sample of a cell, or of the reference's hidden copy."""
        where = {"case": cell.case, "mode": cell.mode, "contestant": cell.contestant, "copy": copy}
        taken = [sample, cell.rounds[-1], cell.positions[-1]]
        self._write({"sample": where | {"taken": taken, "calls": cell.calls}})

    def close(self, done: bool) -> None:
        """Close the file, and remove it if the run is done."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if done and self.path is not None:
                self.path.unlink(missing_ok=True)

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")


def beside(output: Path) -> Path:
    """Return where the journal of an output lies.

    Example
    -------
    >>> beside(Path("runs/today.json")).name
    'today.json.journal'
    """
    return output.parent / f"{output.name}.journal"


def restore(path: Path, identity: dict[str, Any], results: Results) -> None:
    """Put what a journal holds into the results of a new run.

    Raises
    ------
    JournalError
        It is not a journal, or of another run.
    """
    lines = list(_lines(path))
    if not lines or lines[0].get("journal") != FORMAT:
        raise JournalError(f"{path} is not a journal of multirec bench. Remove it, and run without --resume.")
    before = lines[0]["run"]
    for key, value in identity.items():
        if before.get(key) != value:
            raise JournalError(
                f"{path} is of another run: its {key} differ. Repeat the command that it belongs to, "
                "or remove it and run without --resume."
            )
    cells = {(cell.case, cell.mode, cell.contestant): cell for cell in results.cells}
    for line in lines[1:]:
        if "settled" in line:
            kept = line["settled"]
            cell = cells[kept["case"], kept["mode"], kept["contestant"]]
            for each in fields(Cell):
                setattr(cell, each.name, kept[each.name])
        elif "sample" in line:
            kept = line["sample"]
            cell = cells[kept["case"], kept["mode"], kept["contestant"]]
            if kept["copy"]:
                group: Group = (cell.case, cell.mode)
                cell = results.copies.setdefault(group, Cell(cell.contestant, cell.mode, case=cell.case))
            if cell.open:
                cell.calls = kept["calls"]
                sample, turn, position = kept["taken"]
                cell.add(Sample(*sample), turn, position)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text()
    except OSError as error:
        raise JournalError(f"{path} cannot be read ({error.strerror}). Run without --resume.") from None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            # the last line may have been cut off by what ended the run
            if number == text.count("\n") + 1:
                return
            raise JournalError(f"{path}, line {number}, is not JSON. Remove it, and run without --resume.") from None
        if not isinstance(found, dict):
            raise JournalError(f"{path}, line {number}, is not an object. Remove it, and run without --resume.")
        yield found
