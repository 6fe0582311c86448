"""The example of a differentiable vocoder, in few rounds."""

import runpy
from pathlib import Path

import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "lpc_vocoder.py"


def test_filters_are_found_again(capsys):
    module = runpy.run_path(str(EXAMPLE))
    torch.manual_seed(0)
    before, after = module["main"](rounds=10)
    assert after < 1e-2 * before
    assert "frame 20: spoken [270, 2290, 3010]" in capsys.readouterr().out
