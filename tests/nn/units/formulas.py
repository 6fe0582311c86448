"""Each unit as its paper writes it, sample by sample, in plain torch: x (T, B, D) and a state give outs and a state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, softplus

import multirec as mr


def positive(x: Tensor) -> Tensor:
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


def split(unit: Any, x: Tensor, parts: int) -> list[Tensor]:
    weights, biases = unit.projection.weight.chunk(parts), unit.projection.bias.chunk(parts)
    return [x @ weight.T + bias for weight, bias in zip(weights, biases, strict=True)]


def rnn(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    h, outs = state.outputs[0], []
    for sample in x:
        h = torch.tanh(sample @ unit.weight_ih_l0.T + unit.bias_ih_l0 + h @ unit.weight_hh_l0.T + unit.bias_hh_l0)
        outs.append(h)
    return torch.stack(outs), mr.State(None, h[None])


def min_gru(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    h, outs = state.outputs[0], []
    for sample in x:
        z, candidate = split(unit, sample, 2)
        z, candidate = torch.sigmoid(z), positive(candidate) if unit.positive else candidate
        h = (1 - z) * h + z * candidate
        outs.append(h)
    return torch.stack(outs), mr.State(None, h[None])


def min_lstm(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    h, outs = state.outputs[0], []
    for sample in x:
        f, i, candidate = split(unit, sample, 3)
        f, i = torch.sigmoid(f), torch.sigmoid(i)
        candidate = positive(candidate) if unit.positive else candidate
        h = f / (f + i) * h + i / (f + i) * candidate
        outs.append(h)
    return torch.stack(outs), mr.State(None, h[None])


def qrnn(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    c, outs, past = state.outputs[0], [], unit.window - 1
    before = x[:0] if state.inputs is None else state.inputs
    whole = torch.cat([before, x])
    for t in range(len(x)):
        seen = torch.cat([whole[past + t - j] for j in range(unit.window)], -1)
        z, f, *o = split(unit, seen, 3 if unit.output_gate else 2)
        f = torch.sigmoid(f)
        c = f * torch.tanh(z) + (1 - f) * c
        outs.append(torch.sigmoid(o[0]) * c if o else c)
    return torch.stack(outs), mr.State(whole[len(x) :] if past else None, c[None])


def sru(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    c, outs = state.outputs[0], []
    weights = unit.projection.weight.split(unit.hidden_dim)
    vf, vr = torch.zeros_like(unit.bias) if unit.v1 else unit.state_weight
    for sample in x:
        u = [sample @ weight.T for weight in weights]
        f = torch.sigmoid(u[1] + vf * c + unit.bias[0])
        r = torch.sigmoid(u[2] + vr * c + unit.bias[1])
        c = f * c + (1 - f) * u[0]
        active = torch.tanh(c) if unit.activation == "tanh" else c
        highway = (u[3] if len(u) == 4 else 3**0.5 * sample) if unit.highway else 0.0
        outs.append(r * active + (1 - r) * highway)
    return torch.stack(outs), mr.State(None, c[None])


def ind_rnn(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    hs = list(state.outputs)
    for sample in x:
        driven = unit.projection(sample) + sum(unit.recurrent_weight[:, k] * hs[-1 - k] for k in range(unit.order))
        hs.append(torch.tanh(driven) if unit.activation == "tanh" else torch.relu(driven))
    hs = hs[unit.order :] if len(x) else hs
    return torch.stack(hs), mr.State(None, torch.stack([*state.outputs, *hs][-unit.order :]))


def lru(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    h, outs = state.outputs[0], []
    eigenvalues = torch.exp(torch.complex(-unit.nu_log.exp(), unit.theta_log.exp()))
    b = torch.complex(unit.input_weight[0::2], unit.input_weight[1::2])
    c = torch.complex(unit.output_weight[:, 0::2], -unit.output_weight[:, 1::2])
    for sample in x:
        h = eigenvalues * h + unit.gamma_log.exp() * (sample.to(h.dtype) @ b.T)
        skip = unit.skip_weight
        outs.append((h @ c.T).real + (sample * skip if skip.ndim == 1 else sample @ skip.T))
    return torch.stack(outs), mr.State(None, h[None])


def rg_lru_cell(unit: Any, u: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run RecurrentGemma's RG-LRU: h of None means that the first sample has position 0."""
    outs = []
    n = unit.hidden_dim // unit.heads
    for t, sample in enumerate(u):
        blocks = torch.einsum("bhi,hij->bhj", sample.unflatten(-1, (unit.heads, n)), unit.gate_weight) + unit.gate_bias
        i, r = (torch.sigmoid(part.flatten(1)) for part in (blocks[..., :n], blocks[..., n:]))
        log_a = -8 * r * softplus(unit.decay_weight)
        begins = h is None and t == 0
        scale = 1.0 if begins else torch.sqrt(1 - torch.exp(2 * log_a))
        h = sample * i * scale + (0 if h is None else torch.exp(log_a) * h)
        outs.append(h)
    assert h is not None
    return torch.stack(outs), h


def rg_lru(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    u = x if unit.projection is None else unit.projection(x)
    outs, h = rg_lru_cell(unit, u, None if state.outputs is None else state.outputs[0])
    return outs, mr.State(None, h[None])


def rg_lru_block(unit: Any, x: Tensor, state: mr.State) -> tuple[Tensor, mr.State]:
    gate, branch = unit.projection(x).chunk(2, -1)
    past = unit.conv_width - 1
    before = branch.new_zeros(past, *branch.shape[1:]) if state.inputs is None else state.inputs
    whole = torch.cat([before, branch])
    taps = unit.conv_weight
    conv = sum(taps[:, j] * whole[past - j : len(whole) - j] for j in range(unit.conv_width)) + unit.conv_bias
    outs, h = rg_lru_cell(unit.cell, conv, None if state.outputs is None else state.outputs[0])
    return unit.out_projection(outs * gelu(gate, approximate="tanh")), mr.State(whole[len(x) :], h[None])
