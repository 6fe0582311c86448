"""Reading a file that is declared: it is held to the declaration, and what is wrong is said with its place."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints, is_typeddict

from multirec.errors import ArgumentError

_EXPECTED = {
    "Expecting value": "a value",
    "Expecting ','": "a comma or a closing bracket",
    "Expecting ':'": "a colon",
    "Expecting property name": "a field's name in double quotes",
    "Unterminated string": "the end of the text that begins here",
    "Extra data": "the end of the file",
}
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}


class Declared(NamedTuple):
    """A kind of file: its declaration, the name of its version, and what it and what writes it are called."""

    shape: Any
    schema: str
    what: str
    made_by: str
    again: str


def read(path: Path, kind: Declared) -> Any:
    """Return what a file holds, once it is as its kind declares.

    Raises
    ------
    ArgumentError
        The file cannot be read, is not JSON, is of another kind or version, or has a field that is missing or of the
        wrong kind. The message names the file and the line or the field.
    """
    data = _parsed(path, kind)
    _check_version(path, data, kind)
    wrong = fault(data, kind.shape, "")
    if wrong is not None:
        raise changed(path, wrong)
    return data


def changed(path: Path, wrong: str) -> ArgumentError:
    """Return the error of a file that is of the right kind, and wrong in one place."""
    return ArgumentError(f"{path}: {wrong}. It was changed by hand, or written by something else.")


def _parsed(path: Path, kind: Declared) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path} is not {kind.what}: it is not text (byte {error.start}).") from None
    if not text.strip():
        raise ArgumentError(f"{path} is empty. Expected the JSON document that `{kind.made_by}` writes.")
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


def _check_version(path: Path, data: Any, kind: Declared) -> None:
    family, _, version = kind.schema.partition("/")
    schema = data.get("schema") if isinstance(data, dict) else None
    found = re.fullmatch(rf"{re.escape(family)}/(\d+)", schema) if isinstance(schema, str) else None
    if found is None:
        what = f'"schema": {json.dumps(schema)[:60]}' if schema is not None else shown(data)
        raise ArgumentError(
            f'{path} is not {kind.what}: expected an object with "schema": "{kind.schema}", found {what}.'
        )
    if schema != kind.schema:
        newer = int(found[1]) > int(version)
        fix = "Upgrade with: pip install --upgrade multirec-bank" if newer else kind.again
        raise ArgumentError(
            f"{path} was written by another version of multirec: its schema is {schema}, and this one reads "
            f"{kind.schema}. {fix}"
        )


def fault(value: Any, shape: Any, place: str) -> str | None:
    """Say what of a value is first not as its type asks, and its place in the document."""
    origin, inner = get_origin(shape), get_args(shape)
    if origin in (Union, types.UnionType):
        # the only unions are with None
        return None if value is None else fault(value, inner[0], place)
    if origin is Literal:
        return None if value in inner else wrong_at(place, f"one of {', '.join(inner)}", value)
    if origin is list:
        if not isinstance(value, list):
            return wrong_at(place, "a list", value)
        return first(fault(item, inner[0], f"{place}[{i}]") for i, item in enumerate(value))
    if origin is dict or is_typeddict(shape):
        if not isinstance(value, dict):
            return wrong_at(place, "an object", value)
        kinds = get_type_hints(shape) if is_typeddict(shape) else dict.fromkeys(value, inner[1])
        required = shape.__required_keys__ if is_typeddict(shape) else ()
        lacking = next((name for name in kinds if name in required and name not in value), None)
        if lacking is not None:
            return f"{place or 'the document'}: expected a field {lacking!r}, found {shown(value)}"
        return first(
            fault(value[name], kind, f"{place}.{name}".lstrip(".")) for name, kind in kinds.items() if name in value
        )
    return None if shape is Any or _is(value, shape) else wrong_at(place, _WORDS[shape], value)


def first(faults: Iterable[str | None]) -> str | None:
    """Return the first fault, if there is any."""
    return next(filter(None, faults), None)


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def wrong_at(place: str, expected: str, value: Any) -> str:
    """Say what was expected at a place, and what is there."""
    return f"{place}: expected {expected}, found {shown(value)}"


def shown(value: Any) -> str:
    """Return a value in few words."""
    if isinstance(value, dict):
        return f"an object with {', '.join(list(value)[:6]) or 'no fields'}{', …' if len(value) > 6 else ''}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return json.dumps(value)[:60]
