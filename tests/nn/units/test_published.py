"""Weights that others have published: taken over by shape and meaning, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from multirec import nn as mnn
from multirec.errors import ArgumentError, ShapeError


def sru_cell(inputs: int, hidden: int, **parts: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return a state_dict as the SRU authors' cells have it: the gates of a unit are in neighbouring columns."""
    gates = 3 if inputs == hidden else 4
    weight = torch.randn(inputs, hidden * gates)
    found = {"weight": weight, "weight_c": torch.randn(2 * hidden), "bias": torch.randn(2 * hidden)}
    return found | {"scale_x": torch.tensor([3**0.5])} | parts


@pytest.mark.parametrize("inputs", [4, 3])
@pytest.mark.parametrize("v1", [False, True])
def test_sru_takes_published_cells(inputs: int, v1: bool) -> None:
    cell = sru_cell(inputs, 4, **({"weight_c": torch.zeros(8)} if v1 else {}))
    unit = mnn.SRU(inputs, 4, v1=v1)
    unit.load_published(cell)
    x, c = torch.randn(5, 2, inputs), torch.zeros(2, 4)
    u = (x @ cell["weight"]).view(5, 2, 4, -1)
    (vf, vr), (bf, br) = cell["weight_c"].view(2, 4), cell["bias"].view(2, 4)
    outs = []
    for t in range(5):
        forget = torch.sigmoid(u[t, ..., 1] + c * vf + bf)
        reset = torch.sigmoid(u[t, ..., 2] + c * vr + br)
        c = u[t, ..., 0] + (c - u[t, ..., 0]) * forget
        skip = x[t] * cell["scale_x"] if inputs == 4 else u[t, ..., 3]
        outs.append(skip + (c - skip) * reset)
    found, last = unit(x)
    torch.testing.assert_close(found, torch.stack(outs))
    torch.testing.assert_close(last.outputs[0], c)


def test_sru_takes_factors() -> None:
    cell = sru_cell(4, 4, weight_proj=torch.randn(4, 2), weight=torch.randn(2, 12))
    whole = cell | {"weight": cell["weight_proj"] @ cell["weight"]}
    del whole["weight_proj"]
    one, other = mnn.SRU(4, 4), mnn.SRU(4, 4)
    one.load_published(cell)
    other.load_published(whole)
    assert torch.equal(one.projection.weight, other.projection.weight)


@pytest.mark.parametrize(
    ("options", "parts", "error", "says"),
    [
        (
            {},
            {"weight": torch.zeros(5, 12)},
            ShapeError,
            r"weight .* shape \(5, 12\), and SRU\(4, 4, highway=True\) takes \(4, 12\)",
        ),
        ({}, {"bias": torch.zeros(16)}, ShapeError, r"bias .* \(16,\)"),
        ({"v1": True}, {}, ArgumentError, "weight_c other than zero"),
        ({"rescale": False}, {}, ArgumentError, "scales its highway by 1.73205, and this SRU by 1"),
        ({}, {"layer_norm.weight": torch.zeros(4)}, ArgumentError, "layer_norm"),
    ],
)
def test_sru_refuses_others(options: dict[str, Any], parts: dict[str, Any], error: Any, says: str) -> None:
    unit = mnn.SRU(4, 4, **options)
    before = {name: weight.clone() for name, weight in unit.state_dict().items()}
    with pytest.raises(error, match=says):
        unit.load_published(sru_cell(4, 4, **parts))
    assert all(torch.equal(weight, before[name]) for name, weight in unit.state_dict().items())


def temporal_block(width: int, heads: int, hidden: int) -> dict[str, torch.Tensor]:
    """Return a state_dict with the names that transformers has for RecurrentGemma's recurrent block."""
    n = width // heads
    shapes = {
        "linear_y.weight": (width, hidden),
        "linear_y.bias": (width,),
        "linear_x.weight": (width, hidden),
        "linear_x.bias": (width,),
        "linear_out.weight": (hidden, width),
        "linear_out.bias": (hidden,),
        "conv_1d.weight": (width, 1, 4),
        "conv_1d.bias": (width,),
        "rg_lru.recurrent_param": (width,),
        "rg_lru.input_gate_weight": (heads, n, n),
        "rg_lru.input_gate_bias": (heads, n),
        "rg_lru.recurrent_gate_weight": (heads, n, n),
        "rg_lru.recurrent_gate_bias": (heads, n),
    }
    return {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}


def test_rglru_block_takes_recurrent_gemma() -> None:
    weights = temporal_block(6, 2, 5)
    unit = mnn.RGLRUBlock(5, 5, width=6, heads=2, layout="BTC")
    unit.load_published(weights)
    linear, x = torch.nn.functional.linear, torch.randn(2, 7, 5)
    branch = linear(x, weights["linear_x.weight"], weights["linear_x.bias"]).transpose(1, 2)
    u = torch.nn.functional.conv1d(branch, weights["conv_1d.weight"], weights["conv_1d.bias"], padding=3, groups=6)
    u, gates = u[..., :7].transpose(1, 2), []
    for gate in ("input_gate", "recurrent_gate"):
        blocks = torch.einsum("bthi,hij->bthj", u.unflatten(-1, (2, 3)), weights[f"rg_lru.{gate}_weight"])
        gates.append(torch.sigmoid((blocks + weights[f"rg_lru.{gate}_bias"]).flatten(-2)))
    log_a = -8 * gates[1] * torch.nn.functional.softplus(weights["rg_lru.recurrent_param"])
    scale = torch.sqrt(1 - torch.exp(2 * log_a))
    scale[:, 0] = 1.0
    h, hs = torch.zeros(2, 6), []
    for t in range(7):
        h = torch.exp(log_a[:, t]) * h + u[:, t] * gates[0][:, t] * scale[:, t]
        hs.append(h)
    y = torch.nn.functional.gelu(linear(x, weights["linear_y.weight"], weights["linear_y.bias"]), approximate="tanh")
    expected = linear(torch.stack(hs, 1) * y, weights["linear_out.weight"], weights["linear_out.bias"])
    outs, last = unit(x)
    torch.testing.assert_close(outs, expected)
    torch.testing.assert_close(last.outputs[:, 0], h)
    torch.testing.assert_close(last.inputs, branch[..., -3:].transpose(1, 2))
    with pytest.raises(ShapeError, match="of something else, or of other sizes"):
        mnn.RGLRUBlock(5, 5, width=4, heads=2).load_published(weights)
    with pytest.raises(ShapeError, match="recurrent_param"):
        mnn.RGLRU(4, 4).load_published({"recurrent_param": torch.zeros(6)})


def test_rnn_takes_torchs() -> None:
    known, unit = torch.nn.RNN(3, 4), mnn.RNN(3, 4)
    unit.load_state_dict(known.state_dict())
    x, h = torch.randn(5, 2, 3), torch.randn(1, 2, 4)
    outs, after = known(x, h)
    found, last = unit(x, (None, h))
    torch.testing.assert_close((found, last.outputs), (outs, after), rtol=0, atol=0)


def test_qrnn_has_the_rows_and_columns_of_the_authors_code() -> None:
    unit = mnn.QRNN(3, 4, window=2)
    x, before = torch.randn(5, 2, 3), torch.randn(1, 2, 3)
    source = torch.cat([x, torch.cat([before, x[:-1]])], -1)
    z, f, o = torch.nn.functional.linear(source, unit.projection.weight, unit.projection.bias).chunk(3, -1)
    h, outs = torch.zeros(2, 4), []
    for t in range(5):
        h = f[t].sigmoid() * z[t].tanh() + (1 - f[t].sigmoid()) * h
        outs.append(o[t].sigmoid() * h)
    torch.testing.assert_close(unit(x, (before, None))[0], torch.stack(outs))
