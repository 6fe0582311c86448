"""Reading a result file: it is held to the declaration, and what is wrong is said with its place in the file."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints, is_typeddict

from multirec.errors import ArgumentError

from .format import SCHEMA, Document

_FAMILY, _, _VERSION = SCHEMA.partition("/")
_EXPECTED = {
    "Expecting value": "a value",
    "Expecting ','": "a comma or a closing bracket",
    "Expecting ':'": "a colon",
    "Expecting property name": "a field's name in double quotes",
    "Unterminated string": "the end of the text that begins here",
    "Extra data": "the end of the file",
}
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}


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
    data = _parsed(path)
    _check_version(path, data)
    fault = _fault(data, Document, "") or _dangling(data)
    if fault is not None:
        raise ArgumentError(f"{path}: {fault}. It was changed by hand, or written by something else.")
    document: Document = data
    return document


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path} is not a result of multirec bench: it is not text (byte {error.start}).") from None
    if not text.strip():
        raise ArgumentError(f"{path} is empty. Expected the JSON document that `multirec bench -o FILE` writes.")
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        known = (f"expected {words}" for said, words in _EXPECTED.items() if error.msg.startswith(said))
        why = "the file ends in the middle, it is truncated" if cut else "this is not JSON"
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise ArgumentError(f"{place}: {next(known, error.msg)}; {why}.") from None
    except ValueError as error:
        raise ArgumentError(f"{path}: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, found {constant}.")


def _check_version(path: Path, data: Any) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    found = re.fullmatch(rf"{_FAMILY}/(\d+)", schema) if isinstance(schema, str) else None
    if found is None:
        what = f'"schema": {json.dumps(schema)[:60]}' if schema is not None else _shown(data)
        raise ArgumentError(
            f'{path} is not a result of multirec bench: expected an object with "schema": "{SCHEMA}", found {what}.'
        )
    if schema != SCHEMA:
        newer = int(found[1]) > int(_VERSION)
        fix = "Upgrade with: pip install --upgrade multirec-bank" if newer else "Run the benchmark again."
        raise ArgumentError(
            f"{path} was written by another version of multirec: its schema is {schema}, and this one reads {SCHEMA}. "
            f"{fix}"
        )


def _fault(value: Any, shape: Any, place: str) -> str | None:
    """Say what of a value is first not as its type asks, and its place in the document."""
    origin, inner = get_origin(shape), get_args(shape)
    if origin in (Union, types.UnionType):
        # the only unions are with None
        return None if value is None else _fault(value, inner[0], place)
    if origin is Literal:
        return None if value in inner else _wrong(place, f"one of {', '.join(inner)}", value)
    if origin is list:
        if not isinstance(value, list):
            return _wrong(place, "a list", value)
        return _first(_fault(item, inner[0], f"{place}[{i}]") for i, item in enumerate(value))
    if origin is dict or is_typeddict(shape):
        if not isinstance(value, dict):
            return _wrong(place, "an object", value)
        kinds = get_type_hints(shape) if is_typeddict(shape) else dict.fromkeys(value, inner[1])
        required = shape.__required_keys__ if is_typeddict(shape) else ()
        lacking = next((name for name in kinds if name in required and name not in value), None)
        if lacking is not None:
            return f"{place or 'the document'}: expected a field {lacking!r}, found {_shown(value)}"
        return _first(
            _fault(value[name], kind, f"{place}.{name}".lstrip(".")) for name, kind in kinds.items() if name in value
        )
    return None if shape is Any or _is(value, shape) else _wrong(place, _WORDS[shape], value)


def _first(faults: Iterable[str | None]) -> str | None:
    return next(filter(None, faults), None)


def _dangling(document: Document) -> str | None:
    """Say which row names a case that is not there."""
    count = len(document["cases"])
    tables: dict[str, Any] = {name: document[name] for name in ("cells", "floors", "ratios", "regret")}
    return _first(
        _wrong(f"{name}[{i}].case", f"the place of one of {count} cases", row["case"])
        for name, rows in tables.items()
        for i, row in enumerate(rows)
        if not 0 <= row["case"] < count
    )


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _wrong(place: str, expected: str, value: Any) -> str:
    return f"{place}: expected {expected}, found {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(list(value)[:6]) or 'no fields'}{', …' if len(value) > 6 else ''}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return json.dumps(value)[:60]
