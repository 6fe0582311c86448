"""Operands of recurrences with an activation inside, and what is compared: the library and stepping."""

import torch
from activated import stepped
from activated.stepped import axes, from_bct, to_bct

from multirec._nonlinear import envelope, independent, sru

BATCH, CHANNELS, LENGTH = 2, 19, 70

BACKENDS = ("numba", "torch_loop", "reference")

LAYOUTS = ("BCT", "BTC", "TBC")


def noise(*shape, seed, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def operands(kind, layout, order=1, states=BATCH, batch=BATCH, length=LENGTH):
    """Float64 operands of a kind: x or u first, the state last."""
    x = noise(*axes(batch, CHANNELS, length, layout), seed=1)
    one = noise(states, CHANNELS, seed=4)
    if kind == "independent":
        state = from_bct(noise(states, CHANNELS, order, seed=4), layout).contiguous()
        return [x, 0.6 * noise(CHANNELS, order, seed=2) / order, state]
    if kind == "sru":
        u = noise(*axes(batch, 3 * CHANNELS, length, layout), seed=5)
        return [u, x, noise(2, CHANNELS, seed=2), noise(2, CHANNELS, seed=3), one]
    varying = noise(*axes(1, CHANNELS, length, layout), seed=3).sigmoid()
    return [x, noise(CHANNELS, seed=2).sigmoid(), varying, one]


def compute(kind, tensors, activation, layout="BCT", backend="auto", **choices):
    choices |= {"layout": layout, "backend": backend}
    if kind == "independent":
        return independent(*tensors, activation=activation, **choices)
    if kind == "sru":
        u, highway, weight, bias, state = tensors
        return sru(u, weight, bias, state, highway=highway, scale=1.5, activation=activation, **choices)
    return envelope(*tensors, **choices)


def step(kind, tensors, activation, layout="BCT", reverse=False):
    """The same by the loops of `stepped`."""
    wide = [to_bct(part, layout) if part.ndim == 3 else part for part in tensors]
    if reverse:
        wide = [part.flip(-1) if part.ndim == 3 else part for part in wide]
    if kind == "independent":
        y, state = stepped.independent(*wide, activation)
    elif kind == "sru":
        y, state = stepped.sru(*wide, activation, 1.5)
    else:
        x, attack, *others = wide
        y, state = stepped.envelope(x, attack[:, None], *others)
    if reverse:
        y, state = y.flip(-1), state.flip(-1) if kind == "independent" else state
    return from_bct(y, layout), from_bct(state, layout) if kind == "independent" else state


def with_gradients(function, tensors):
    """Values and gradients of all tensors, with weights that are the same for every function."""
    own = [part.detach().clone().requires_grad_() for part in tensors]
    results = function(own)
    weights = [noise(*result.shape, seed=7 + index).to(result.dtype) for index, result in enumerate(results)]
    return [part.detach().double() for part in (*results, *torch.autograd.grad(results, own, weights))]


def error(found, truth):
    return [((one - two).norm() / two.norm().clamp(min=1e-30)).item() for one, two in zip(found, truth, strict=True)]
