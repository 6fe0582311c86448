"""The examples in the harness's docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import multirec.bench

MODULES = [module.name for module in pkgutil.walk_packages(multirec.bench.__path__, "multirec.bench.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    for library, modules in {"numba": ("njit_kernels",), "matplotlib": ("draw", "html")}.items():
        if name.rpartition(".")[2] in modules:
            pytest.importorskip(library)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert not doctest.testmod(importlib.import_module(name), optionflags=flags).failed
