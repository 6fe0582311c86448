"""Result files: one JSON document and one table for each step, written again at every result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Results:
    """The rows of one step, in `<folder>/<card>-<step>.json` and `.txt`."""

    def __init__(self, folder: Path, card: str, step: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stem = folder / f"{card}-{step}"
        self.document: dict[str, Any] = {"schema": "multirec.gpu/1", "step": step, "rows": []}

    def note(self, **facts: Any) -> None:
        """Keep facts about the whole step."""
        self.document |= facts
        self._write()

    def add(self, **row: Any) -> None:
        """Keep a row, and show it."""
        self.document["rows"].append(row)
        print(_line(row), flush=True)
        self._write()

    def _write(self) -> None:
        facts = [f"{key}: {value}" for key, value in self.document.items() if key != "rows"]
        table = "\n".join([*facts, "", *map(_line, self.document["rows"])]) + "\n"
        for suffix, text in ((".json", json.dumps(self.document, indent=1) + "\n"), (".txt", table)):
            part = Path(f"{self._stem}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(f"{self._stem}{suffix}")


def _line(row: dict[str, Any]) -> str:
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
    )
