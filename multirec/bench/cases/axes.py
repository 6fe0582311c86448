"""The values of an axis as users write them: one, a list, or a range, with k and M for thousands and millions."""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 1000, "K": 1000, "M": 1_000_000}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kKM]?)")
MOST_VALUES = 10_000
_FORMS = "Write one value, a list such as 1k,4k, or a range such as 1k:64k:x4 (times 4) or 1:9:2 (plus 2)."


def parse_axis(text: str) -> list[int]:
    """Return the values of an axis, in the order given, each once. A range includes its end if it meets it.

    Raises
    ------
    ValueError
        What is wrong with the text, and how to write it.

    Example
    -------
    >>> parse_axis("16k"), parse_axis("1,2,5"), parse_axis("1:9:2"), parse_axis("1k:64k:x4")
    ([16000], [1, 2, 5], [1, 3, 5, 7, 9], [1000, 4000, 16000, 64000])
    >>> parse_axis("1:3")
    [1, 2, 3]
    """
    values = [value for part in text.split(",") for value in _part(part.strip(), text)]
    return list(dict.fromkeys(values))


def _part(part: str, text: str) -> list[int]:
    pieces = part.split(":")
    if len(pieces) == 1:
        return [_count(part, text)]
    if len(pieces) > 3:
        raise ValueError(f"{part!r} has {len(pieces)} parts between colons. {_FORMS}")
    first, last = _count(pieces[0], text), _count(pieces[1], text)
    step = pieces[2].strip() if len(pieces) == 3 else "1"
    times = step.startswith(("x", "*", "×"))
    by = _count(step[1:] if times else step, text)
    if last < first:
        raise ValueError(f"the range {part!r} goes down, from {first} to {last}. Write the smaller end first.")
    if times and by < 2:
        raise ValueError(f"the range {part!r} never ends: it multiplies by {by}. Multiply by 2 or more.")
    values = []
    while first <= last:
        values.append(first)
        first = first * by if times else first + by
        if len(values) > MOST_VALUES:
            raise ValueError(f"the range {part!r} has more than {MOST_VALUES} values. Take a larger step, such as x4.")
    return values


def _count(piece: str, text: str) -> int:
    found = _NUMBER.fullmatch(piece.strip())
    if found is None:
        raise ValueError(f"{piece!r} in {text!r} is not a count. {_FORMS}")
    value = float(found[1]) * _UNITS[found[2]]
    if value != int(value) or value < 1:
        raise ValueError(f"{piece!r} in {text!r} is {value:g}, not a whole number of at least 1.")
    return int(value)
