"""Programs and states in files of torch."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import multirec as mr
from multirec import nn


def test_a_state_is_loaded_without_trust() -> None:
    file = io.BytesIO()
    torch.save([mr.State(torch.ones(1, 2), None)], file)
    file.seek(0)
    (state,) = torch.load(file, weights_only=True)
    assert type(state) is mr.State
    assert torch.equal(state.inputs, torch.ones(1, 2))


def with_state() -> tuple[nn.FilterBank, torch.Tensor, mr.State]:
    bank, x = nn.FilterBank(2, order=1), torch.randn(1, 9)
    return bank, x, bank(x)[1].detach()


def test_a_program_takes_and_gives_states() -> None:
    bank, x, state = with_state()
    file = io.BytesIO()
    torch.export.save(torch.export.export(bank, (x, state)), file)
    file.seek(0)
    y, after = torch.export.load(file).module()(x, state)
    expected, state = bank(x, state)
    assert type(after) is mr.State
    torch.testing.assert_close((y, after), (expected, state))


@pytest.mark.long
@pytest.mark.parametrize("imports", ["torch, multirec", "multirec, torch", "multirec.nn"])
def test_a_program_is_loaded_where_multirec_is_imported(imports: str, tmp_path: Path) -> None:
    bank, x, state = with_state()
    path = tmp_path / "bank.pt2"
    torch.export.save(torch.export.export(bank, (x, state)), path)
    code = (
        f"import sys, {imports}; from torch.export import load; program = load(sys.argv[1]).module();"
        "from multirec import State; import torch; empty = torch.zeros(1, 1, 1), torch.zeros(1, 2, 1);"
        "print(tuple(program(torch.ones(1, 9), State(*empty))[0].shape))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 2, 9)"
    assert "weights_only" not in done.stderr
