"""The JSON Schema of the result document, for other programs: `python -m multirec.bench.results.schema` prints it."""

from __future__ import annotations

import json
import types
from inspect import getdoc
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from .format import SCHEMA, Document

_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


def json_schema() -> dict[str, Any]:
    """Return the schema, as JSON Schema of draft 2020-12 has it.

    Example
    -------
    >>> json_schema()["properties"]["run"]["properties"]["budget_s"]
    {'type': 'number', 'exclusiveMinimum': 0}
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **_schema(Document)}


def _schema(kind: Any) -> dict[str, Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _schema(inner[0]) | dict(inner[1:])
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(part) for part in inner]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1])}
    if is_typeddict(kind):
        fields = get_type_hints(kind, include_extras=True)
        required = [name for name in fields if name in kind.__required_keys__]
        properties = {name: _schema(field) for name, field in fields.items()}
        return {"type": "object", "description": getdoc(kind), "properties": properties, "required": required}
    return {"type": _WORDS[kind]}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))
