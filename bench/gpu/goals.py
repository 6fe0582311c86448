"""What was reached of the goals in `goals.toml`: met, not met, or not measured."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from .results import Row

GOALS = Path(__file__).with_suffix(".toml")


def verdicts(rows: Iterable[Row], path: Path = GOALS) -> Iterator[Row]:
    """Yield each goal with what was reached of it.

    A row that is wrong has reached nothing, and neither has one whose peers were not measured.
    """
    found = {(row["item"], row.get("mode")): row for row in rows if row["status"] == "ok"}
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    for goal in document["goals"]:
        least, most = goal.get("at_least"), goal.get("at_most")
        bound = f"≥ {least:g}" if most is None else f"≤ {most:g}"
        peers = document["peers"][goal["over"]] if "over" in goal else None
        against = "" if peers is None else " over the best peer's"
        for item in goal["items"]:
            reached = _reached(found, item, goal, peers)
            met = "not measured"
            if reached is not None:
                met = "met" if (reached >= least if most is None else reached <= most) else "not met"
            text = f"{item}, {goal['mode']}: {goal['figure']}{against} {bound}"
            yield {"goal": text, "reached": reached, "met": met}


def _reached(
    found: Mapping[tuple[str, str | None], Row], item: str, goal: Row, peers: Sequence[str] | None
) -> float | None:
    mode, figure = goal["mode"], goal["figure"]
    own: float | None = found.get((item, mode), {}).get(figure)
    if own is None or peers is None:
        return own
    theirs = [found[peer, mode][figure] for peer in peers if (peer, mode) in found]
    return own / min(theirs) if theirs else None
