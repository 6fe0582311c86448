"""Packages made for one test: a folder on sys.path with modules and the metadata of a distribution."""

import sys

import pytest

from multirec import _registry
from multirec._select import forget_plans


class Site:
    """A folder of installed packages."""

    def __init__(self, path):
        self.path = path

    def module(self, name, source):
        (self.path / f"{name}.py").write_text(source)

    def distribution(self, name, folder=None, **points):
        """Install metadata that registers the backends `points`: name = "module:attribute"."""
        info = self.path / (folder or f"{name}-1.0.dist-info")
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{point} = {value}" for point, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[multirec.backends]", *lines, ""]))

    def backend(self, module, name, kernel="multirec.reference:kernel", **fields):
        """Write a module with the BackendInfo of a backend called `name`."""
        fields = {"name": name, "summary": "for a test", "kernel": kernel, "family": "numpy"} | fields
        arguments = ", ".join(f"{key}={value!r}" for key, value in fields.items())
        self.module(module, f"from multirec.backend import BackendInfo\ninfo = BackendInfo({arguments})\n")


def start_afresh():
    _registry.registry._entries = None
    forget_plans()
    _registry._is_installed.cache_clear()
    _registry._older.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    start_afresh()
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("made_"):
            del sys.modules[name]
    monkeypatch.undo()
    start_afresh()


@pytest.fixture
def registered():
    """The process's own backends; what a test adds is taken back."""
    added = _registry.registry._added
    before = dict(added)
    start_afresh()
    yield added
    added.clear()
    added.update(before)
    start_afresh()
