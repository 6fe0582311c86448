"""A history in a terminal: for each machine and problem a line a run, its steps marked and listed below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..results.format import Document
from ..results.history import Place, Point, Track, changed_versions
from ..results.rows import floors_of
from .report import LEAST, WIDTH, Line, wrapped
from .text import DASH, half_width, interval_text, percent_text, ratio_text

MARKS = {"faster": "▼", "slower": "▲", "unclear": "?"}
_ROLES = {"faster": "good", "slower": "bad"}
_WHY = (
    "Times are in copies: how many times as long as a copy of the least memory traffic that the work needs, timed in "
    "the rounds of the same run. Times of different days are not compared as they are: the machine was in another "
    "state each day"
)
_WHAT = (
    "▼ ▲ a step: faster, or slower, than in the first run since the last step, beyond the intervals of both and the "
    "A/A floor, which is how much the run's reference differs from itself. ? the intervals are too wide to say"
)


def history_report(places: Sequence[Place], notes: Sequence[str], width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of a history, none wider than `width` (72 to 100)."""
    width = max(LEAST, min(width, WIDTH))
    for place in places:
        word = "run" if len(place.runs) == 1 else "runs"
        yield from wrapped(f"{len(place.runs)} {word} on {place.machine}", width, "title")
        for case, mode in dict.fromkeys((track.case, track.mode) for track in place.tracks):
            tracks = [track for track in place.tracks if (track.case, track.mode) == (case, mode)]
            yield Line("", "note")
            yield from wrapped(f"{mode}  {case}", width, "case")
            yield from _table(place, sorted(tracks, key=_last), width)
        yield Line("", "note")
        yield from _steps(place, width)
        for before, after in pairwise(place.runs):
            changed = changed_versions(before, after)
            if changed:
                yield from wrapped(f"other versions in {label(after)}: {', '.join(changed)}", width, "note")
        yield Line("", "note")
    if len(places) > 1:
        yield from wrapped(
            f"{len(places)} machines: each has a history of its own, and none is compared", width, "note"
        )
    for text in (_WHY, _WHAT):
        yield from wrapped(text, width, "remark")
    for note in notes:
        yield from wrapped(f"note: {note}", width, "note")


def label(document: Document) -> str:
    """Return what a run is called: its commit, with + where there were changes; its name outside of a clone."""
    git = document["git"]
    if git is None:
        return document["run"]["name"]
    return git["commit"][:10] + ("+" if git["dirty"] else "")


def _last(track: Track) -> float:
    known = [point.copies for point in track.points if point.copies is not None]
    return known[-1] if known else float("inf")


def _table(place: Place, tracks: Sequence[Track], width: int) -> Iterator[Line]:
    """Yield the lines of a problem: as many contestants beside each other as there is room for."""
    names = [label(run) for run in place.runs]
    first = max(map(len, ("commit", *names)))
    heads = [
        f"{run['run']['started'][:10]}  {name:{first}}  {_floor(run, tracks[0]):>5}"
        for run, name in zip(place.runs, names, strict=True)
    ]
    columns = [(track.contestant, _texts(track, len(place.runs))) for track in tracks]
    widths = [max(map(len, (name, *texts))) for name, texts in columns]
    while columns:
        count, used = 0, len(heads[0])
        while count < len(columns) and (not count or used + 2 + widths[count] <= width):
            used += 2 + widths[count]
            count += 1
        titles = "".join(f"  {name:>{w}}" for (name, _), w in zip(columns[:count], widths, strict=False))
        yield Line(f"{'date':10}  {'commit':{first}}  {'A/A':>5}{titles}".rstrip(), "head")
        for run, head in enumerate(heads):
            texts = "".join(f"  {texts[run]:>{w}}" for (_, texts), w in zip(columns[:count], widths, strict=False))
            yield Line(f"{head}{texts}".rstrip(), "ok")
        columns, widths = columns[count:], widths[count:]


def _floor(run: Document, track: Track) -> str:
    """Return how much the run's reference differs from itself, on the problem of a track."""
    for (case, mode), row in floors_of(run).items():
        if (run["cases"][case]["text"], mode) == (track.case, track.mode) and row["floor"] is not None:
            return f"±{percent_text(row['floor'])}"
    return DASH


def _texts(track: Track, runs: int) -> list[str]:
    texts = [DASH] * runs
    for point in track.points:
        texts[point.run] = _text(point)
    return texts


def _text(point: Point) -> str:
    if point.copies is None:
        # the status, whose reason the run itself shows
        return point.reason.partition(":")[0] if point.median_s is None else DASH
    value = ratio_text(point.copies, half_width(point.copies, point.low, point.high))
    return f"{value} {MARKS.get(point.change, ' ')}"


def _steps(place: Place, width: int) -> Iterator[Line]:
    found = [(track, point) for track in place.tracks for point in track.points if point.change in _ROLES]
    for track, point in sorted(found, key=lambda pair: pair[1].run):
        if point.since is None or point.speed is None:
            continue
        speed = point.speed if point.change == "faster" else 1 / point.speed
        interval = interval_text(point.speed_low, point.speed_high, point.speed)
        text = (
            f"{MARKS[point.change]} {label(place.runs[point.run])}: {track.contestant} {ratio_text(speed)} "
            f"{point.change} (± {interval}) than in {label(place.runs[point.since])}, {track.mode} {track.case}"
        )
        yield from wrapped(text, width, _ROLES[point.change])
    if not found:
        yield from wrapped("no step", width, "note")
    silent = {point.reason for track in place.tracks for point in track.points if point.median_s and point.reason}
    for reason in sorted(silent):
        yield from wrapped(f"some runs are not compared: {reason}", width, "unsure")
