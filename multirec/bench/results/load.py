"""Reading a result file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .declared import Declared, changed, first, read, wrong_at
from .format import SCHEMA, Document

_RESULT = Declared(Document, SCHEMA, "a result of multirec bench", "multirec bench -o FILE", "Run the benchmark again.")


def load(path: Path) -> Document:
    """Return the document in a file.

    Raises
    ------
    ArgumentError
        The file cannot be read, is not JSON, is no result of ``multirec bench``, is of another version, or has a field
        that is missing or of the wrong kind. The message names the file and the line or the field.

    Example
    -------
    >>> load(Path("results/none.json"))
    Traceback (most recent call last):
        ...
    multirec.errors.ArgumentError: results/none.json cannot be read: No such file or directory.
    """
    document: Document = read(path, _RESULT)
    fault = _dangling(document)
    if fault is not None:
        raise changed(path, fault)
    return document


def _dangling(document: Document) -> str | None:
    """Say which row names a case that is not there."""
    count = len(document["cases"])
    tables: dict[str, Any] = {name: document[name] for name in ("cells", "floors", "ratios", "regret")}
    tables["recording.calls"] = (document.get("recording") or {"calls": []})["calls"]
    return first(
        wrong_at(f"{name}[{i}].case", f"the place of one of {count} cases", row["case"])
        for name, rows in tables.items()
        for i, row in enumerate(rows)
        if not 0 <= row["case"] < count
    )
