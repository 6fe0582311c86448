"""Examples that no other folder tests."""

from __future__ import annotations

import runpy
import shutil

import pytest
from pages import ROOT


@pytest.mark.long
def test_a_package_made_ahead_of_time_computes_what_the_model_does() -> None:
    pytest.importorskip("torch")
    if shutil.which("c++") is None:
        pytest.skip("AOTInductor needs a C++ compiler")
    assert runpy.run_path(str(ROOT / "examples" / "ahead_of_time.py"))["main"]() < 1e-5
