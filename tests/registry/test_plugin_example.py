"""The example plugin: installed as a stranger's package is, and shown in backends/README.md."""

import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pytest

import multirec as mr

EXAMPLE = Path(__file__).parents[1] / "plugin_example"
PAGE = Path(__file__).parents[2] / "backends" / "README.md"
BLOCKS = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize(("name", "shown"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_the_page_shows_the_file(name, shown):
    assert shown == (EXAMPLE / name).read_text()


def test_the_page_shows_every_file():
    files = {str(path.relative_to(EXAMPLE)) for pattern in ("*.py", "*.toml") for path in EXAMPLE.rglob(pattern)}
    assert {name for name, _ in BLOCKS} == {name for name in files if not name.startswith("build/")}


def test_the_page_shows_each_file_once():
    names = [name for name, _ in BLOCKS]
    assert len(names) == len(set(names))


def test_is_installed_and_ready():
    names = {point.name for point in importlib.metadata.entry_points(group="multirec.backends")}
    assert "example" in names, (
        "the example plugin is not installed: run make test, or "
        "pip install --no-build-isolation --no-deps tests/plugin_example"
    )
    status = mr.backends()["example"]
    assert (status.status, status.distribution) == ("ready", "multirec-example"), status.reason


def test_is_used_by_name_and_never_by_auto():
    x, feedback = np.ones((1, 1, 3)), np.array([[0.5]])
    y, _ = mr.recurrence(x, feedback=feedback, backend="example")
    np.testing.assert_array_equal(y, [[[1, 1.5, 1.75]]])
    explanation = mr.explain(x, feedback=feedback)
    assert explanation.chosen != "example"
    assert explanation.candidates["example"].reason.startswith("by name only")


def test_its_refusal_names_who_computes_it():
    with pytest.raises(mr.errors.UnsupportedError, match=r"'example' does not support order 9 .*numba") as error:
        mr.recurrence(np.ones((1, 1, 3)), feedback=np.full((1, 9), 0.1), backend="example")
    assert "it supports 0..8" in str(error.value)
