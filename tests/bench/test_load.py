"""Reading files: what is wrong is said with its place, and the schema says the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import documents
import pytest
from jsonschema import Draft202012Validator

from multirec.bench.results.format import SCHEMA
from multirec.bench.results.load import load
from multirec.bench.results.schema import json_schema
from multirec.errors import ArgumentError

VALIDATOR = Draft202012Validator(json_schema())


def whole() -> Any:
    """A document with a row in every table."""
    document: Any = json.loads(json.dumps(documents.sweep()))
    document["regret"] = [{"case": 0, "mode": "forward", "picked": "numba", "fastest": "numba", "regret": 1.0}]
    document["clocks"] = documents.clocks()
    document["cells"][0]["shorter"] = {"length": 100, "samples_s": [0.1], "median_s": 0.1}
    calls = [{"case": 0, "mode": "forward", "calls": 3, "traced": False}]
    left_out = [{"text": "x of 1 × 2", "reason": "time runs backwards", "calls": 1}]
    document["recording"] = {"name": "app.json", "calls": calls, "left_out": left_out}
    return document


def saved(path: Path, content: Any) -> Path:
    file = path / "results.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_the_newest_version_is_read_as_it_is(tmp_path: Path) -> None:
    document = documents.biquads()
    assert load(saved(tmp_path, document)) == json.loads(json.dumps(document))


@pytest.mark.parametrize("name", ["biquads", "sweep"])
def test_the_results_of_the_repository_fit_the_declaration(name: str) -> None:
    file = Path(__file__).parents[2] / "bench" / "results" / f"{name}-epyc-2-cores.json"
    assert list(VALIDATOR.iter_errors(load(file))) == []


def objects(schema: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], list[str]]]:
    """The place of the first of each kind of object in a document, and the fields that the schema requires of it."""
    for kind in schema.get("anyOf", [schema]):
        if "items" in kind:
            yield from objects(kind["items"], (*place, 0))
        if "properties" in kind:
            yield place, kind["required"]
            for name, field in kind["properties"].items():
                yield from objects(field, (*place, name))


@pytest.mark.parametrize("place", [pytest.param(place, id=str(place)) for place in objects(json_schema())])
def test_readers_ask_for_what_the_schema_requires(tmp_path: Path, place: tuple[tuple[Any, ...], list[str]]) -> None:
    path, fields = place
    for field in fields:
        document: Any = whole()
        inside = document
        for step in path:
            inside = inside[step]
        del inside[field]
        assert not VALIDATOR.is_valid(document)
        with pytest.raises(ArgumentError, match=field):
            load(saved(tmp_path, document))


@pytest.mark.parametrize("make", [documents.biquads, documents.sweep])
def test_the_documents_of_these_tests_fit_the_schema(make: Callable[[], Any]) -> None:
    assert [f"{list(error.path)}: {error.message}" for error in VALIDATOR.iter_errors(make())] == []


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
        ({"schema": "multirec.bench/1"}, "Run the benchmark again."),
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
