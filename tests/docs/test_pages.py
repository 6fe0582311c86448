"""README and docs say what is so: names, links, tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import multirec
import multirec.adjoint
import multirec.backend
import multirec.errors
import multirec.nn
import multirec.testing

from pages import PAGES, ROOT, blocks, name_of, without_code

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
    "module", [multirec, multirec.nn, multirec.adjoint, multirec.backend, multirec.errors, multirec.testing]
)
def test_reference_has_every_public_name(module: object) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    name = module.__name__  # type: ignore[attr-defined]
    if f"automodule:: {name}\n   :members:" in pages:
        return
    public = [item for item in module.__all__ if not item.startswith("__") and item not in ("adjoint", "errors")]  # type: ignore[attr-defined]
    documented = set(re.findall(r"auto\w+:: ([\w.]+)", pages))
    # constants and types of values have no page of their own
    public = [item for item in public if callable(getattr(module, item)) and hasattr(getattr(module, item), "__doc__")]
    missing = [item for item in public if f"{name}.{item}" not in documented]
    assert not missing, f"docs/reference lacks {missing} of {name}"


def test_documentation_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    build = pytest.importorskip("sphinx.cmd.build")
    assert build.main(["-W", "--keep-going", "-q", "-b", "dummy", "-d", str(tmp_path), str(ROOT / "docs"), str(tmp_path)]) == 0
