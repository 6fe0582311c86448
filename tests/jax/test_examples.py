"""The examples for JAX run, and what they train gets better."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "needs"),
    [pytest.param("jax_train_bank", ["optax"], marks=pytest.mark.long), ("jax_equinox_layer", ["optax", "equinox"])],
)
def test_example(name, needs):
    for module in needs:
        pytest.importorskip(module)
    first, last = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](steps=40)
    assert last < 0.5 * first
