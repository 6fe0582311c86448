"""What a recorded application's calls take: the share of each problem, and the sum with each contestant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..results.format import Document, RecordedCalls, Recording
from .report import WIDTH, Line, fill, wrapped
from .text import percent_text, ratio_text, seconds_text


class Whole(NamedTuple):
    """All calls with one contestant, in seconds."""

    contestant: str
    seconds: float
    of_problems: list[float]


def wholes(document: Document, recording: Recording) -> list[Whole]:
    """Return what all calls take with each contestant that was timed in every problem, the fastest first."""
    medians = {(cell["case"], cell["mode"], cell["contestant"]): cell["median_s"] for cell in document["cells"]}
    found = []
    for name in dict.fromkeys(cell["contestant"] for cell in document["cells"]):
        times = [medians.get((row["case"], row["mode"], name)) for row in recording["calls"]]
        known = [seconds for seconds in times if seconds is not None]
        if known and len(known) == len(times):
            each = [seconds * row["calls"] for seconds, row in zip(known, recording["calls"], strict=True)]
            found.append(Whole(name, sum(each), each))
    return sorted(found, key=lambda whole: whole.seconds)


def shares(document: Document, width: int = WIDTH) -> Iterator[Line]:
    """Yield lines about a recording's calls, none wider than `width`; none where nothing was recorded."""
    recording = document.get("recording")
    if recording is None:
        return
    found, calls = wholes(document, recording), recording["calls"]
    count = sum(row["calls"] for row in calls)
    yield Line("", "note")
    yield from wrapped(
        f"{recording['name']}: {count} recorded calls of {len(calls)} problems and modes", width, "title"
    )
    if found:
        fastest = found[0]
        yield from wrapped(f"of the application's time in multirec, with {fastest.contestant}:", width, "head")
        ordered = sorted(zip(fastest.of_problems, calls, strict=True), key=lambda pair: -pair[0])
        for seconds, row in ordered:
            head = f"{percent_text(seconds / fastest.seconds):>6}  {_calls(row):>9}  "
            text = f"{row['mode']}  {document['cases'][row['case']]['text']}"
            yield from (Line(line, "note") for line in fill(text, width, head, len(head)))
        names = max(len(whole.contestant) for whole in found)
        yield Line("all recorded calls, each at its median:", "head")
        for whole in found:
            against = "" if whole is fastest else f"  {ratio_text(whole.seconds / fastest.seconds)} the time"
            line = f"  {whole.contestant:{names}}  {seconds_text(whole.seconds):>8}{against}"
            yield Line(line, "best" if whole is fastest else "ok")
    elif calls:
        yield from wrapped("no contestant was timed in all of these, so there is no sum", width, "unsure")
    if any(row["traced"] for row in calls):
        text = "+: JAX traced it into compiled programs, and how often these ran is not known; it counts as traced"
        yield from wrapped(text, width, "remark")
    for left in recording["left_out"]:
        text = f"not timed ({left['calls']} ×): {left['text']}: {left['reason']}"
        yield from wrapped(text, width, "unsure")


def _calls(row: RecordedCalls) -> str:
    return f"{row['calls']}{'+' if row['traced'] else ''} ×"
