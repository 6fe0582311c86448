"""The code of README and docs runs: a page is one namespace, its blocks run in order."""

from __future__ import annotations

import doctest
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pages import PAGES, Block, blocks, name_of

import multirec
from multirec._registry.registry import registry

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
OPTIONAL = ("torch", "scipy", "jax", "onnxruntime")


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in ("python", "pycon")]


def modules() -> list[ModuleType]:
    """Every module of the library; those of the harness and the command have tests of their own."""
    inside = [name for _, name, _ in pkgutil.walk_packages(multirec.__path__, "multirec.")]
    elsewhere = ["multirec.bench", "multirec.cli", "multirec.__main__"]
    if importlib.util.find_spec("onnxscript") is None:
        elsewhere.append("multirec.onnx")
    return [multirec, *(importlib.import_module(name) for name in inside if not name.startswith(tuple(elsewhere)))]


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Forget the backends that a page registers."""
    before = set(registry.names())
    yield
    for name in set(registry.names()) - before:
        registry.remove(name)


LATER = (
    *("docs/how-to/coming-from.md", "docs/how-to/scipy.md", "docs/how-to/jax.md", "docs/how-to/deploy.md"),
    *("docs/how-to/transforms.md", "docs/how-to/long-arrays.md", "docs/tutorials/language-model.md"),
)
"""Pages on which JAX, torch or numba compiles for long, models are exported, or one is trained."""


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=pytest.mark.long if name_of(page) in LATER else ())
        for page in PAGES
        if python_blocks(page)
    ],
)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = python_blocks(page)
    for library in OPTIONAL:
        if any(re.search(rf"^(>>> )?(import|from) {library}\b", block.text, re.MULTILINE) for block in code):
            pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in code:
        if block.language == "pycon":
            run_session(block, namespace, page)
        else:
            # blank lines first, so that a traceback shows the line of the page
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)


def run_session(block: Block, namespace: dict[str, Any], page: Path) -> None:
    session = doctest.DocTestParser().get_doctest(block.text, {}, name_of(page), str(page), block.line - 1)
    session.globs = namespace
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(session, out=report.append, clear_globs=False)
    assert not result.failed, "".join(report)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_docstrings(module: ModuleType) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(test, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)
