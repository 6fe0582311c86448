"""Packages made for one test: a folder on sys.path with modules and the metadata of a distribution."""

import sys

import pytest

from multirec._registry.registry import registry


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

    def library(self, distribution, version, *modules):
        """Install metadata of a distribution that brings modules."""
        info = self.path / f"{distribution.replace('-', '_')}-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "top_level.txt").write_text("\n".join(modules))

    def backend(self, module, name, kernel="multirec.reference:kernel", **fields):
        """Write a module with the BackendInfo of a backend called `name`."""
        fields = {"name": name, "summary": "for a test", "kernel": kernel, "family": "numpy"} | fields
        arguments = ", ".join(f"{key}={value!r}" for key, value in fields.items())
        self.module(module, f"from multirec.backend import BackendInfo\ninfo = BackendInfo({arguments})\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    registry.look_again()
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("made_"):
            del sys.modules[name]
    monkeypatch.undo()
    registry.look_again()


@pytest.fixture
def registered():
    """The process's own backends; what a test adds is taken back."""
    before = set(registry.names())
    yield
    for name in set(registry.names()) - before:
        registry.remove(name)
