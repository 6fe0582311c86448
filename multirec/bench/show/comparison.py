"""A comparison of two runs in a terminal: plain lines within a width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..results.compare import Comparison, Pair
from .report import LEAST, WIDTH, Line, wrapped
from .text import DASH, interval_text, ratio_text, seconds_text

_ROLES = {"faster": "good", "fixed": "good", "slower": "bad", "broken": "bad", "unclear": "unsure", "gone": "unsure"}
_MEANINGS = {
    "times": "speed: the base run's median over the new one's, so more than 1 is faster",
    "ratios": "speed: the new run's ratio to the reference over the base run's, so more than 1 is faster",
}
_TITLES = ("contestant", "base", "new", "speed", "±", "outcome")


def comparison_report(comparison: Comparison, width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of a comparison, none wider than `width` (72 to 100)."""
    width = max(LEAST, min(width, WIDTH))
    shown = [pair for pair in comparison.pairs if pair.outcome != "untimed"]
    rows = [_texts(pair, comparison.by) for pair in shown]
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
    group: tuple[str, str] | None = None
    for pair, row in zip(shown, rows, strict=True):
        if (pair.case, pair.mode) != group:
            if group:
                yield Line("", "note")
            group = (pair.case, pair.mode)
            yield from wrapped(f"{pair.mode}  {pair.case}", width, "title")
            yield Line(_line(_TITLES, widths), "head")
        role = _ROLES.get(pair.outcome, "ok")
        yield Line(_line(row, widths), role)
        if pair.reason:
            yield from wrapped(f"{'':{widths[0]}}  {pair.reason}", width, role, widths[0] + 2)
    yield Line("", "note")
    yield from wrapped(f"{_MEANINGS[comparison.by]}; ±: half of its 95 % interval", width, "note")
    yield from wrapped(
        "same: no difference beyond the A/A floor; unclear: the interval is too wide to say", width, "note"
    )
    yield from wrapped(_summary(comparison), width, "title")
    for note in comparison.notes:
        yield from wrapped(f"note: {note}", width, "note")


def _texts(pair: Pair, by: str) -> tuple[str, ...]:
    text = seconds_text if by == "times" else ratio_text
    sides = [DASH if value is None else text(value) for value in (pair.base, pair.new)]
    if pair.speed is None:
        return (pair.contestant, *sides, DASH, "", pair.outcome)
    half = (pair.high - pair.low) / 2 if pair.low is not None and pair.high is not None else None
    interval = interval_text(pair.low, pair.high, pair.speed)
    return (pair.contestant, *sides, ratio_text(pair.speed, half), interval, pair.outcome)


def _line(texts: tuple[str, ...], widths: list[int]) -> str:
    first, *middle, last = (
        text.ljust(w) if place in (0, len(widths) - 1) else text.rjust(w)
        for place, (text, w) in enumerate(zip(texts, widths, strict=True))
    )
    return "  ".join([first, *middle, last]).rstrip()


def _summary(comparison: Comparison) -> str:
    counts = Counter(pair.outcome for pair in comparison.pairs)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    if comparison.mean is None:
        return outcomes
    mean, low, high = comparison.mean
    half = (high - low) / 2
    interval = f"{ratio_text(low, half)} to {ratio_text(high, half)}"
    return f"{outcomes}; geometric mean of the speeds {ratio_text(mean, half)}, 95 % interval {interval}"
