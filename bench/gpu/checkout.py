"""Makes this checkout importable without installing it: paths, and the entry points of pyproject.toml."""

from __future__ import annotations

import sys
import tomllib
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def use_checkout() -> None:
    """Put the checkout first on the path, and register the built-in backends that are not found as entry points."""
    for folder in (ROOT / "backends", ROOT):
        sys.path.insert(0, str(folder))
    multirec = import_module("multirec")
    registered = import_module("multirec._registry.registry").registry.names()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, value in project["entry-points"]["multirec.backends"].items():
        module, _, attribute = value.partition(":")
        if name not in registered:
            multirec.register_backend(getattr(import_module(module), attribute))
