"""Training at large: compiled, in mixed precision, checkpointed and distributed, it is that of one plain process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from sharded import example, layers, trained
from torch import distributed
from torch.utils.checkpoint import checkpoint


def plain() -> tuple[list[float], list[torch.Tensor]]:
    model = layers()
    losses = trained(model, *example())
    return losses, [weight.detach() for weight in model.parameters()]


def assert_same(found: Any, losses: Any = None) -> None:
    """Raise unless weights are those of plain training, and have moved far more than they may differ."""
    own_losses, weights = plain()
    for got, want, before in zip(found, weights, layers().parameters(), strict=True):
        assert (want - before).abs().max() > 1e-4
        torch.testing.assert_close(got, want, rtol=0, atol=2e-6)
    assert own_losses[0] > own_losses[-1]
    if losses is not None:
        assert losses == pytest.approx(own_losses, rel=1e-5)


@pytest.mark.long
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("torch is built without gloo")
    program = Path(__file__).with_name("one_of_two.py")
    environment = os.environ | ({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})
    processes = [
        subprocess.Popen(
            [sys.executable, str(program), str(rank), str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    first, second = (torch.load(tmp_path / f"found-{rank}.pt") for rank in (0, 1))
    for kind in ("DDP", "FSDP2"):
        means = [(one + other) / 2 for one, other in zip(first[kind][0], second[kind][0], strict=True)]
        assert_same(first[kind][1], means)
        assert_same(second[kind][1])
    torch.testing.assert_close(first["of sharded weights"][1], first["of whole weights"][1], rtol=0, atol=1e-6)


def test_checkpointed() -> None:
    model = layers()
    losses = trained(model, *example(), call=lambda *given: checkpoint(model, *given, use_reentrant=False))
    assert_same(model.parameters(), losses)


@pytest.mark.long
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled(dynamic: bool) -> None:
    torch._dynamo.reset()
    model = layers()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    assert_same(model.parameters(), trained(model, *example(), call=compiled))


def halves() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.long
def test_autocast_to_bfloat16() -> None:
    model = layers()
    losses = trained(model, *example(), around=halves)
    own_losses, weights = plain()
    assert losses == pytest.approx(own_losses, rel=0.02)
    for got, want, before in zip(model.parameters(), weights, layers().parameters(), strict=True):
        # a step is right to the eight bits of what goes through it
        assert (got - want).abs().max() < 0.05 * (want - before).abs().max()
    with halves():
        y, states = model(example()[0])
    assert y.dtype == torch.bfloat16
    assert all(state is None or state.outputs.dtype == torch.float32 for state in states)
