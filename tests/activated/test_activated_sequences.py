"""Recurrences with an activation inside, continued and of several sequences: each is what it is alone."""

from itertools import pairwise, product

import pytest
import torch
from activated import stepped
from activated.cases import (
    BATCH,
    LAYOUTS,
    LENGTH,
    compute,
    error,
    operands,
    with_gradients,
)
from activated.stepped import from_bct, to_bct


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", stepped.CASES)
def test_a_call_that_is_continued_is_the_whole_bit_for_bit(kind, layout):
    activation, order = stepped.CASES[kind]
    tensors = operands(kind, layout, order)
    whole, last = compute(kind, tensors, activation, layout)
    axis = {"BCT": 2, "BTC": 1, "TBC": 0}[layout]
    *arrays, state = tensors
    pieces, at = [], 0
    for count in (1, 40, LENGTH - 41):
        part = [one.narrow(axis, at, count) if one.ndim == 3 else one for one in arrays]
        y, state = compute(kind, [*part, state], activation, layout)
        pieces.append(y)
        at += count
    assert torch.equal(torch.cat(pieces, axis), whole)
    assert torch.equal(state, last)


@pytest.mark.parametrize(
    ("kind", "backend"),
    [(kind, backend) for kind in stepped.CASES for backend in ("torch_loop", "reference")]
    + [
        ("sru", "numba"),
        *(pytest.param(kind, "numba", marks=pytest.mark.long) for kind in ("independent", "envelope")),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_sequences_are_what_each_is_alone(kind, reverse, backend):
    activation, order = stepped.CASES[kind]
    bounds = [0, 0, 3, 40, LENGTH]
    tensors = operands(kind, "TBC", order, states=4, batch=1)
    choices = {"backend": backend, "reverse": reverse}

    def together(own):
        return compute(kind, own, activation, "TBC", cu_seqlens=bounds, **choices)

    def alone(own):
        *arrays, states = own
        found = []
        for index, (start, stop) in enumerate(pairwise(bounds)):
            state = states[:, index : index + 1] if kind == "independent" else states[index : index + 1]
            part = [one[start:stop] if one.ndim == 3 else one for one in arrays]
            found.append(compute(kind, [*part, state], activation, "TBC", **choices))
        ys, after = zip(*found, strict=True)
        return torch.cat(ys), torch.cat(after, 1 if kind == "independent" else 0)

    assert max(error(with_gradients(together, tensors), with_gradients(alone, tensors))) < 1e-12


@pytest.mark.parametrize(
    ("backend", "layout"),
    [
        *product(("torch_loop", "reference"), LAYOUTS),
        *(("numba", "TBC"), *(pytest.param("numba", layout, marks=pytest.mark.long) for layout in ("BCT", "BTC"))),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_harms_nothing_and_resets_cut(layout, reverse, backend):
    lengths = [50, 0]
    starts = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
    starts[0, [0, 20]] = True
    tensors = operands("sru", layout)
    padded = [part.clone() for part in tensors]
    for part in padded[:2]:
        for example, length in enumerate(lengths):
            to_bct(part, layout)[example, :, length:] = torch.nan
    resets = starts.T if layout == "TBC" else starts
    choices = {"resets": resets, "lengths": lengths, "reverse": reverse, "backend": backend}
    found = with_gradients(lambda own: compute("sru", own, "tanh", layout, **choices), padded)
    y, _, of_u, of_highway = found[:4]
    for signal in (y, of_u, of_highway):
        assert not to_bct(signal, layout)[0, :, 50:].any()
        assert not to_bct(signal, layout)[1].any()
    assert all(part.isfinite().all() for part in found)

    def parts(own):
        u, highway, weight, bias, state = own
        axis = {"BCT": 2, "BTC": 1, "TBC": 0}[layout]
        zero = torch.zeros_like(state)
        found, ends = [], []
        for start, stop in ((0, 20), (20, 50)):
            enters = state if reverse and stop == 50 else zero
            cut = [part.narrow(axis, start, stop - start) for part in (u, highway)]
            one, after = compute("sru", [*cut, weight, bias, enters], "tanh", layout, reverse=reverse, backend=backend)
            found.append(one)
            ends.append(after)
        last = zero if reverse else ends[-1]
        padding = torch.zeros_like(highway.narrow(axis, 50, 20))
        whole = torch.cat([*found, padding], axis)
        kept = torch.stack([torch.ones(LENGTH), torch.zeros(LENGTH)])[:, None].to(whole)
        return whole * from_bct(kept, layout), torch.stack([last[0], state[1]])

    assert max(error(found, with_gradients(parts, tensors))) < 1e-12


def test_resets_may_be_inside_of_sequences():
    tensors = operands("sru", "BTC", states=2, batch=1)
    resets = torch.zeros(1, LENGTH, dtype=torch.bool)
    resets[0, 30] = True
    y, state = compute("sru", tensors, "tanh", "BTC", resets=resets, cu_seqlens=[0, 20, LENGTH])
    *arrays, states = tensors
    after = []
    for start, stop, enters in ((0, 20, states[:1]), (20, 30, states[1:]), (30, LENGTH, None)):
        part = [one[:, start:stop] if one.ndim == 3 else one for one in arrays]
        alone, last = compute("sru", [*part, enters], "tanh", "BTC")
        assert torch.equal(y[:, start:stop], alone)
        after.append(last)
    assert torch.equal(state, torch.cat([after[0], after[2]]))
