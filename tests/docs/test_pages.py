"""README and docs say what is so: names, links and their anchors, files, tables. Nothing is looked up in a network."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT, blocks, name_of, without_code

import multirec

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)|\b(?:src|srcset)=\"(?P<picture>[^\"]+)\"")
HEADING = re.compile(r"^#{1,3} (?P<text>.+)$", re.MULTILINE)
# a file or folder of the repository, named in the text
PATH = re.compile(r"`(?P<path>(?:backends|bench|docs|examples|multirec|tests)/[\w./-]*)`")


def shown_backends() -> str:
    """The output of `multirec backends` in the README."""
    (found,) = [block.text for block in blocks(ROOT / "README.md") if block.text.startswith("$ multirec backends")]
    return found


def test_backends_table_names_every_built_in() -> None:
    built_in = {name for name, status in multirec.backends().items() if status.distribution == "multirec-bank"}
    words = set(re.findall(r"[a-z_]+", shown_backends()))
    assert built_in <= words, f"README's backends table lacks {built_in - words}"


def anchors(page: Path) -> set[str]:
    """Return what links to a page's headings may say, as GitHub and MyST have it."""
    texts = (found["text"].lower() for found in HEADING.finditer(without_code(page)))
    return {re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [found["target"] or found["picture"] for found in LINK.finditer(without_code(page))]
    missing = []
    for target in (target for target in targets if "://" not in target):
        path, _, anchor = target.partition("#")
        to = page.parent / path if path else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            missing.append(target)
    assert not missing, f"{name_of(page)} links to {missing}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = {found["path"] for found in PATH.finditer(without_code(page))}
    missing = {path for path in named if not (ROOT / path).exists()}
    assert not missing, f"{name_of(page)} names {missing}"


def test_the_measured_table_has_one_place() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert text.count("<!-- table:begin -->") == text.count("<!-- table:end -->") == 1
    assert text.index("<!-- table:begin -->") < text.index("<!-- table:end -->")


PUBLIC = """
multirec multirec.adjoint multirec.analysis multirec.backend multirec.biquads multirec.compat.torchaudio multirec.errors
multirec.distributed multirec.filterbanks multirec.nn multirec.plot multirec.signal multirec.testing
"""
ELSEWHERE = {"adjoint", "distributed", "errors", "MultirecError"}
"""What `multirec` brings along from its modules, whose pages have it."""


@pytest.mark.parametrize("module", PUBLIC.split())
def test_reference_has_every_public_name(module: str) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    named = set(re.findall(r"auto(?:class|function|data):: ([\w.]+)\n", pages))
    # names of types and tuples are only mentioned
    named |= {f"{module}.{name}" for name in re.findall(r"`(\w+)`", pages)}
    for whole in re.findall(r"automodule:: ([\w.]+)\n   :members:", pages):
        named |= {f"{whole}.{name}" for name in importlib.import_module(whole).__all__}
    public = {name for name in importlib.import_module(module).__all__ if not name.startswith("__")}
    missing = {name for name in public - ELSEWHERE if f"{module}.{name}" not in named}
    assert not missing, f"docs/reference says nothing of {sorted(missing)} of {module}"


@pytest.mark.long
def test_documentation_builds_without_warnings(tmp_path: Path) -> None:
    for module in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy", "docs", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
