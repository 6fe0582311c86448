"""Result files: one JSON document and one table, written again at every result, by whichever process has one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

BAD = ("failed", "wrong")
"""The statuses that make `make gpu` fail; the others are ok, differs (a peer), skipped, out of memory, unfinished."""
PEER = "peer: "
"""What the names of items begin with that compute with somebody else's code: what fails there is not ours."""
_NOT_FACTS = ("rows", "goals", "clocks_read")


def without_folders(text: str) -> str:
    """Return a text with files named alone, since results are for others to read.

    >>> without_folders("/home/me/x.py:3: error, 1/2 of it")
    'x.py:3: error, 1/2 of it'
    """
    return re.sub(r"(?<![\w.])/(?:[\w.+@-]+/)+", "", text)


class Results:
    """The rows in `<folder>/<card>-<name>.json` and `.txt`; one that is there already is continued."""

    def __init__(self, folder: Path, card: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stem = folder / f"{card}-{name}"
        self.document: Row = {"schema": "multirec.gpu/2", "rows": []}
        if self._path(".json").exists():
            self.document = json.loads(self._path(".json").read_text(encoding="utf-8"))

    def clear(self) -> None:
        """Remove what an earlier run left."""
        for suffix in (".json", ".txt"):
            self._path(suffix).unlink(missing_ok=True)

    def note(self, **facts: Any) -> None:
        """Keep facts about the whole."""
        self.document |= facts
        self._write()

    def add(self, **row: Any) -> None:
        """Keep a row, and show it."""
        row = {key: without_folders(value) if isinstance(value, str) else value for key, value in row.items()}
        self.document["rows"].append(row)
        print(_line(row), flush=True)
        self._write()

    @property
    def goals(self) -> list[str]:
        """What was reached of the goals, a line for each, once they were noted."""
        goals = self.document.get("goals", [])
        width = max((len(goal["goal"]) for goal in goals), default=0)
        reached = ("–" if goal["reached"] is None else f"{goal['reached']:.3g}" for goal in goals)
        return [f"{goal['goal']:<{width}}  {text:>6}  {goal['met']}" for goal, text in zip(goals, reached, strict=True)]

    @property
    def faults(self) -> list[str]:
        """What is wrong, a line for each such row."""
        rows = self.document["rows"]
        return [_line(row) for row in rows if row["status"] in BAD and not row["item"].startswith(PEER)]

    def _path(self, suffix: str) -> Path:
        return Path(f"{self._stem}{suffix}")

    def _write(self) -> None:
        facts = [f"{key}: {value}" for key, value in self.document.items() if key not in _NOT_FACTS]
        lines = [*facts, "", *map(_line, self.document["rows"]), *([""] if self.goals else []), *self.goals]
        text = "\n".join(lines) + "\n"
        texts = {".json": json.dumps(self.document, indent=1, default=str) + "\n", ".txt": text}
        for suffix, whole in texts.items():
            part = self._path(".part")
            part.write_text(whole, encoding="utf-8")
            part.replace(self._path(suffix))


def _line(row: Row) -> str:
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
    )
