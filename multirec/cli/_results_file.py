"""The types of arguments that name a saved run, or a recording."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from multirec.bench.results.format import Document
from multirec.bench.results.load import load
from multirec.bench.results.recording import Replay, load_recorded, replay
from multirec.errors import ArgumentError


class ResultsFile(click.ParamType[Document]):
    """A file that ``multirec bench -o`` wrote, as a document."""

    name = "results"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Document:
        path = Path(value)
        try:
            return load(path)
        except ArgumentError as error:
            self.fail(f"{error}{_hint(path)}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


class RecordingFile(click.ParamType[Replay]):
    """A file that ``multirec bench record`` wrote, as the cases that it asks for."""

    name = "recording"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Replay:
        path = Path(value)
        try:
            found = replay(load_recorded(path), path.name)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)
        if not found.cases:
            reasons = "; ".join(f"{left['text']}: {left['reason']}" for left in found.recording["left_out"])
            self.fail(f"{path} has no problem that a case is. {reasons}", param, ctx)
        return found

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


def _hint(path: Path) -> str:
    if path.is_dir():
        return " It is a folder; `multirec bench list FOLDER` lists the runs in it."
    if path.exists():
        return ""
    close = get_close_matches(path.name, [near.name for near in path.parent.glob("*.json")], n=1)
    return f" Did you mean {str(path.with_name(close[0]))!r}?" if close else ""


RESULTS = ResultsFile()
RECORDED = RecordingFile()
