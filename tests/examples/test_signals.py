"""The examples on signals run in a short form, and what they learn is what there is to learn."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def one_thread():
    """Keep torch's threads from waiting for each other beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_an_equaliser_is_fitted(capsys):
    names = runpy.run_path(str(EXAMPLES / "equaliser.py"))
    before, after = names["main"](steps=40)
    assert before > 3.5
    assert after < 1.2
    assert "high_shelf" in capsys.readouterr().out


def test_bands_of_an_equaliser_are_its_gain():
    names = runpy.run_path(str(EXAMPLES / "equaliser.py"))
    *_, (_, eq) = names["train"](3)
    assert np.abs(names["gain_of"](eq)).max() > 0.1
    np.testing.assert_allclose(names["gains_of_bands"](eq).sum(0), names["gain_of"](eq), atol=1e-9)


@pytest.mark.long
def test_filters_are_found_and_vowels_told_apart(capsys):
    found = runpy.run_path(str(EXAMPLES / "front_end.py"))["main"](steps=90, count=500, seeds=1)
    centres, bandwidths = found.errors
    assert centres < 0.01
    assert bandwidths < 0.15
    mel, fixed, learnt = (share for (share,) in found.right.values())
    # one in five is chance
    assert min(mel, fixed) > 0.7
    assert learnt > fixed - 0.02
    assert "mel spectrogram" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "few"), [("equaliser", {}), ("front_end", {"--count": 64, "--seeds": 1})])
def test_pictures(name, few, tmp_path):
    pytest.importorskip("matplotlib")
    command = runpy.run_path(str(EXAMPLES / f"{name}.py"))["command"]
    path = tmp_path / "picture.svg"
    words = [str(word) for pair in {"--steps": 2, "--plot": path, **few}.items() for word in pair]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert path.read_text(encoding="utf-8").count("<path") > 20
