"""What waits for the first import of a module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from multirec._machine.when_loaded import when_loaded

NAME = "a_module_that_comes_later"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = list(sys.meta_path)
    file = tmp_path / f"{NAME}.py"
    file.write_text("ready = True\n")
    yield file
    sys.modules.pop(NAME, None)
    sys.meta_path[:] = before


@pytest.mark.usefixtures("source")
def test_it_is_done_once_after_the_module_is_complete() -> None:
    done = []
    when_loaded(NAME, lambda: done.append(sys.modules[NAME].ready))
    # looking for a module is not loading it
    assert importlib.util.find_spec(NAME) is not None
    assert done == []
    module = importlib.import_module(NAME)
    assert done == [True]
    assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"
    importlib.reload(module)
    assert done == [True]


@pytest.mark.usefixtures("source")
def test_several_may_wait_for_one_module() -> None:
    done = []
    for number in (1, 2, 3):
        when_loaded(NAME, lambda number=number: done.append(number))
    before = list(sys.meta_path)
    assert importlib.util.find_spec(NAME) is not None
    module = importlib.import_module(NAME)
    assert sorted(done) == [1, 2, 3]
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    assert len(sys.meta_path) == len(before) - 3


@pytest.mark.usefixtures("source")
def test_it_is_done_at_once_where_the_module_is_there() -> None:
    importlib.import_module(NAME)
    done = []
    when_loaded(NAME, lambda: done.append(1))
    assert done == [1]


def test_it_waits_for_an_import_that_succeeds(source: Path) -> None:
    done = []
    when_loaded(NAME, lambda: done.append(1))
    source.write_text("raise OSError\n")
    with pytest.raises(OSError, match=r"^$"):
        importlib.import_module(NAME)
    assert done == []
    source.write_text("ready = True\n")
    importlib.invalidate_caches()
    importlib.import_module(NAME)
    assert done == [1]


def test_other_modules_are_found_as_ever() -> None:
    before = list(sys.meta_path)
    when_loaded("no_such_module", lambda: None)
    try:
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            importlib.import_module("no_such_module")
        assert importlib.util.find_spec("json") is not None
    finally:
        sys.meta_path[:] = before
