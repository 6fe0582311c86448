"""The three recurrences as their papers have them, one sample at a time; their gradients are torch's own."""

import torch

CASES = {"independent": ("tanh", 1), "sru": ("tanh", 1), "envelope": ("identity", 1)}
OTHERS = [("independent", "sigmoid", 2), ("independent", "identity", 32), ("sru", "relu", 1), ("sru", "identity", 1)]


def axes(batch, channels, time, layout):
    return {"BCT": (batch, channels, time), "BTC": (batch, time, channels), "TBC": (time, batch, channels)}[layout]


def to_bct(signal, layout):
    return {"BCT": signal, "BTC": signal.transpose(1, 2), "TBC": signal.permute(1, 2, 0)}[layout]


def from_bct(signal, layout):
    return {"BCT": signal, "BTC": signal.transpose(1, 2), "TBC": signal.permute(2, 0, 1)}[layout]


def activate(name, number):
    return {"identity": lambda x: x, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[name](number)


def independent(x, feedback, state, activation):
    """Of x (B, C, T), feedback (C, p), state (B, C, p)."""
    past = list(state.unbind(-1))
    for sample in x.unbind(-1):
        past.append(activate(activation, sample + sum(feedback[:, k] * past[-1 - k] for k in range(feedback.shape[1]))))
    h = past[state.shape[-1] :]
    return torch.stack(h, -1) if h else x, torch.stack(past[len(past) - state.shape[-1] :], -1)


def sru(u, highway, weight, bias, state, activation, scale):
    """Of u (B, 3C, T), highway (B, C, T) or None, state (B, C)."""
    ux, uf, ur = u.chunk(3, 1)
    c, found = state, []
    for t in range(u.shape[-1]):
        f = torch.sigmoid(uf[..., t] + weight[0] * c + bias[0])
        r = torch.sigmoid(ur[..., t] + weight[1] * c + bias[1])
        c = f * c + (1 - f) * ux[..., t]
        h = r * activate(activation, c)
        found.append(h if highway is None else h + (1 - r) * highway[..., t] * scale)
    return torch.stack(found, -1) if found else ux, c


def envelope(x, attack, release, state):
    """Of x (B, C, T), attack and release to be broadcast with it, state (B, C)."""
    attack, release = (torch.broadcast_to(part, x.shape) for part in (attack, release))
    y, found = state, []
    for t in range(x.shape[-1]):
        rises = x[..., t] > y
        y = y + torch.where(rises, attack[..., t], release[..., t]) * (x[..., t] - y)
        found.append(y)
    return torch.stack(found, -1) if found else x, y
