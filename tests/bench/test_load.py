"""Reading files: older versions are upgraded, and what is wrong is said with its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import documents
import pytest
from jsonschema import Draft202012Validator

from multirec.bench.results.format import SCHEMA, Document
from multirec.bench.results.load import load
from multirec.errors import ArgumentError

VERSION_1: dict[str, Any] = {
    "schema": "multirec.bench/1",
    "case": {"text": "x[2, 9]", "batch": 2, "channels": 3, "length": 9, "order": 2, "dtype": "float32", "seed": 0},
    "machine": {"system": "Linux", "cpu": "A", "cores": 2, "threads": 2, "load_1min": 0.5}
    | {"python": "3.11", "numpy": "2.4", "multirec": "0.1"},
    "budget_s": 60.0,
    "elapsed_s": 50.0,
    "interrupted": False,
    "memcpy_bytes_per_s": {"cpu": 1e9},
    "notes": ["a note"],
    "results": [
        {"backend": "numba", "mode": "forward", "status": "ok", "reason": "", "version": "1", "device": "cpu"}
        | {"median_s": 0.5, "spread_s": 0.1, "ratio": 4.0, "ratio_to": "scipy", "memcpy_fraction": 0.3}
        | {"peak_bytes": 100, "first_call_s": 1.0, "errors": {"y": 1e-6}, "checked": "all", "calls_per_sample": 1}
        | {"samples_s": [0.4, 0.6], "positions": [[0, 1], [3, 0]]}
    ],
}


def saved(path: Path, content: Any) -> Path:
    file = path / "results.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_the_newest_version_is_read_as_it_is(tmp_path: Path) -> None:
    document = documents.biquads()
    assert load(saved(tmp_path, document)) == json.loads(json.dumps(document))


def test_version_1_is_upgraded(tmp_path: Path) -> None:
    document = load(saved(tmp_path, VERSION_1))
    assert document["schema"] == SCHEMA
    assert document["run"]["name"] == "results"
    (cell,) = document["cells"]
    assert (cell["contestant"], cell["rounds"], cell["positions"]) == ("numba", [0, 3], [1, 0])
    assert (cell["median_s"], cell["low_s"]) == (0.5, None)
    assert cell["check"] == {"errors": {"y": 1e-6}, "what": "all"}
    (ratio,) = document["ratios"]
    assert (ratio["ratio"], ratio["reference"], ratio["low"]) == (4.0, "scipy", None)
    assert document["notes"][0] == "a note"
    # what an upgrade makes is a whole document
    assert load(saved(tmp_path, document)) == document


def shapes(schema: Any, shape: Any, place: str = "document") -> Iterator[tuple[str, set[str], set[str]]]:
    """The fields that the schema requires and those that readers know, of each object that both name."""
    if get_origin(shape) in (Union, UnionType):
        schema = next(kind for kind in schema.get("oneOf", [schema]) if kind.get("type") != "null")
        shape = get_args(shape)[0]
    if get_origin(shape) is list:
        yield from shapes(schema["items"], get_args(shape)[0], place)
    elif is_typeddict(shape):
        yield place, set(schema["required"]), set(shape.__required_keys__)
        for name, kind in get_type_hints(shape).items():
            yield from shapes(schema["properties"][name], kind, f"{place}.{name}")


SCHEMA_FILE = json.loads((files("multirec.bench") / "schema" / "multirec.bench-2.json").read_text())


@pytest.mark.parametrize(
    ("required", "known"), [pytest.param(*sets, id=place) for place, *sets in shapes(SCHEMA_FILE, Document)]
)
def test_readers_know_what_the_schema_requires(required: set[str], known: set[str]) -> None:
    assert known == required


@pytest.mark.parametrize("make", [documents.biquads, documents.sweep])
def test_the_documents_of_these_tests_fit_the_schema(make: Callable[[], Any]) -> None:
    errors = Draft202012Validator(SCHEMA_FILE).iter_errors(make())
    assert [f"{list(error.path)}: {error.message}" for error in errors] == []


def broken(change: Callable[[Any], Any]) -> Any:
    document = json.loads(json.dumps(documents.biquads()))
    change(document)
    return document


def cell(**values: Any) -> Any:
    return broken(lambda document: document["cells"][0].update(values))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("hello", "line 1, column 1: expected a value; this is not JSON"),
        (json.dumps(documents.biquads(), indent=1)[:900], "the file ends in the middle, it is truncated"),
        ('{"schema": "multirec.be', "column 12: expected the end of the text that begins here; the file ends"),
        ('{"schema": "multirec.bench/2"', "column 30: expected a comma or a closing bracket; the file ends"),
        ('{"a": 1} {"b": 2}', "column 10: expected the end of the file; this is not JSON"),
        ('{"schema": "multirec.bench/2",\n "run": nonsense}', "line 2, column 9: expected a value; this is not JSON"),
        ('{"schema": "multirec.bench/2", "a": NaN}', "expected finite numbers, found NaN"),
        ([1, 2], f'expected an object with "schema": "{SCHEMA}", found a list of 2'),
        ({"benchmarks": []}, "is not a result of multirec bench"),
        ({"schema": "other/2"}, 'found "schema": "other/2"'),
        ({"schema": "multirec.bench/3"}, "Upgrade with: pip install --upgrade multirec-bank"),
        (broken(lambda d: d.pop("cells")), "the document: expected a field 'cells'"),
        (broken(lambda d: d["run"].pop("seed")), "run: expected a field 'seed'"),
        (cell(samples_s=[0.1, "x"]), 'cells[0].samples_s[1]: expected a number, found "x"'),
        (cell(status="fine"), "cells[0].status: expected one of ok, skipped"),
        (cell(rounds=[True]), "cells[0].rounds[0]: expected a whole number, found true"),
        (broken(lambda d: d.update(notes={})), "notes: expected a list, found an object with no fields"),
        (cell(case=7), "cells[0].case: expected the place of one of 1 cases, found 7"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "content",
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, content: Any, message: str) -> None:
    file = saved(tmp_path, content)
    with pytest.raises(ArgumentError) as caught:
        load(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="No such file"):
        load(tmp_path / "none.json")
    with pytest.raises(ArgumentError, match="directory"):
        load(tmp_path)
    picture = tmp_path / "picture.json"
    picture.write_bytes(b"\x89PNG\xff")
    with pytest.raises(ArgumentError, match="it is not text"):
        load(picture)
