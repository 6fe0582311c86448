"""README and docs say what is so: names, links, tables."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pages import PAGES, ROOT, blocks, name_of, without_code

import multirec
import multirec.adjoint
import multirec.backend
import multirec.errors
import multirec.nn
import multirec.testing

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def shown_backends() -> str:
    """The output of `multirec backends` in the README."""
    (found,) = [block.text for block in blocks(ROOT / "README.md") if block.text.startswith("$ multirec backends")]
    return found


def test_backends_table_names_every_built_in() -> None:
    built_in = {name for name, status in multirec.backends().items() if status.distribution == "multirec-bank"}
    words = set(re.findall(r"[a-z_]+", shown_backends()))
    assert built_in <= words, f"README's backends table lacks {built_in - words}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [found["target"] for found in LINK.finditer(without_code(page))]
    local = [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing, f"{name_of(page)} links to {missing}"


@pytest.mark.parametrize("name", ["README.md", "docs/benchmarks.md"])
def test_the_measured_table_has_one_place(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("<!-- table:begin -->") == text.count("<!-- table:end -->") == 1
    assert text.index("<!-- table:begin -->") < text.index("<!-- table:end -->")


@pytest.mark.parametrize(
    "module",
    [multirec, multirec.nn, multirec.adjoint, multirec.backend, multirec.errors, multirec.testing],
    ids=lambda module: module.__name__,
)
def test_reference_has_every_public_name(module: ModuleType) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    named = set(re.findall(r"auto(?:class|function|data):: [\w.]*?(\w+)\n", pages)) | set(re.findall(r"`(\w+)`", pages))
    for whole in re.findall(r"automodule:: ([\w.]+)\n   :members:", pages):
        named |= set(importlib.import_module(whole).__all__)
    missing = {name for name in module.__all__ if not name.startswith("__")} - named - {"adjoint", "errors"}
    assert not missing, f"docs/reference says nothing of {sorted(missing)} of {module.__name__}"


def test_documentation_builds_without_warnings(tmp_path: Path) -> None:
    for module in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy", "docs", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
