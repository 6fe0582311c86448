"""Depth and both directions: equal to torch's modules, packed or not, and to the layers one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import multirec as mr
from multirec import nn as mnn
from multirec.errors import ArgumentError, UnsupportedError


def twins(bidirectional: bool) -> tuple[torch.nn.RNN, mnn.Stack]:
    known = torch.nn.RNN(3, 4, num_layers=2, bidirectional=bidirectional)
    stack = mnn.Stack(mnn.RNN, 3, 4, num_layers=2, bidirectional=bidirectional)
    weights = known.state_dict()
    for index, layer in enumerate(stack):
        units: Any = (layer.forwards, layer.backwards) if bidirectional else (layer,)
        for unit, ending in zip(units, ("", "_reverse"), strict=False):
            names = unit.state_dict()
            unit.load_state_dict({name: weights[f"{name[:-1]}{index}{ending}"] for name in names})
    return known, stack


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_equal_torch(bidirectional: bool, is_packed: bool) -> None:
    known, stack = twins(bidirectional)
    x: Any = torch.randn(7, 3, 3)
    if is_packed:
        x = pack_padded_sequence(x, torch.tensor([4, 7, 2]), enforce_sorted=False)
    first = torch.randn(2 * (1 + bidirectional), 3, 4)
    states: Any = [mr.State(None, part[None]) for part in first]
    states = [states[:2], states[2:]] if bidirectional else states
    expected, after = known(x, first)
    outs, found = stack(x, states)
    flat = [state for pair in found for state in pair] if bidirectional else found
    torch.testing.assert_close(torch.cat([state.outputs for state in flat]), after)
    if is_packed:
        assert torch.equal(outs.unsorted_indices, expected.unsorted_indices)
        outs, expected = outs.data, expected.data
    torch.testing.assert_close(outs, expected)


def test_both_directions_with_lengths_and_resets() -> None:
    torch.manual_seed(0)
    both = mnn.Bidirectional(
        mnn.MinGRU(3, 4, layout="BTC", backend="torch_loop"),
        mnn.QRNN(3, 4, layout="BTC", backend="torch_loop", reverse=True, window=2),
    )
    x, lengths = torch.randn(2, 6, 3), [4, 6]
    resets = torch.zeros(2, 6, dtype=torch.bool)
    resets[:, 3] = True
    outs, _ = both(x, lengths=lengths, resets=resets)
    for row, own, length in zip(x, outs, lengths, strict=True):
        torch.testing.assert_close(own[:3], both(row[:3])[0])
        torch.testing.assert_close(own[3:length], both(row[3:length])[0])


def test_layers_dropout_and_steps() -> None:
    stack = mnn.Stack(mnn.SRU, 3, 4, num_layers=3, dropout=0.5, v1=True, layout="BTC")
    assert [type(module).__name__ for module in stack] == ["SRU", "Dropout", "SRU", "Dropout", "SRU"]
    x = torch.randn(2, 5, 3)
    assert not torch.equal(stack(x)[0], stack(x)[0])
    stack.eval()
    outs, states = stack(x)
    assert [type(state).__name__ for state in states] == ["State", "NoneType", "State", "NoneType", "State"]
    state, found = None, []
    for sample in x.unbind(1):
        out, state = stack.step(sample, state)
        found.append(out)
    torch.testing.assert_close(torch.stack(found, 1), outs)
    again, _ = stack(x, mnn.detach_state(states))
    assert not torch.equal(again, outs)


def test_a_chain_tells_its_units_where_sequences_are() -> None:
    torch.manual_seed(0)
    chain = mnn.Chain(
        mnn.RecurrenceLayer(3, 4, backend="torch_loop"),
        torch.nn.Tanh(),
        mnn.Chain(mnn.RGLRU(4, 4, backend="torch_loop")),
    ).double()
    x = torch.randn(7, 1, 3, dtype=torch.float64)
    outs, states = chain(x, cu_seqlens=[0, 3, 7])
    assert states[0].outputs.shape == (2, 2, 4)
    torch.testing.assert_close(outs[:3], chain(x[:3])[0])
    torch.testing.assert_close(outs[3:], chain(x[3:])[0])
    again, _ = chain(x, states, cu_seqlens=[0, 3, 7])
    first = [mr.State(states[0].inputs[:, :1], states[0].outputs[:, :1]), None, None]
    first[2] = [mr.State(None, states[2][0].outputs[:, :1])]
    torch.testing.assert_close(again[:3], chain(x[:3], first)[0])


def test_bad_arguments() -> None:
    for options, says in (
        ({"num_layers": 0}, "num_layers is a whole number"),
        ({"dropout": 1.0}, "dropout is a probability"),
        ({"bidirectional": True, "reverse": True}, "leave out reverse"),
    ):
        with pytest.raises(ArgumentError, match=says):
            mnn.Stack(mnn.MinGRU, 3, 4, **options)
    with pytest.raises(ArgumentError, match=r"multirec\.nn\.Stack\(MinGRU, inputs_dim, hidden_dim, num_layers=2\)"):
        mnn.MinGRU(3, 4, num_layers=2)
    for kind in (mnn.MinGRU, mnn.RecurrenceLayer):
        for options, says in (
            ({"dropout": 0.1}, rf"Stack\({kind.__name__}, inputs_dim, hidden_dim, dropout=0.1\)"),
            ({"num_layers": 2, "batch_first": True}, r"hidden_dim, num_layers=2, layout='BTC'\)"),
            ({"bidirectional": True, "batch_first": False}, r"hidden_dim, bidirectional=True, layout='TBC'\)"),
            ({"batch_first": True}, "for batch_first=True write layout='BTC'"),
        ):
            with pytest.raises(ArgumentError, match=says):
                kind(3, 4, **options)
        with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
            kind(3, 4, num_layers=2, depth=2)
    with pytest.raises(ArgumentError, match="reverse=False and one with reverse=True, got False and False"):
        mnn.Bidirectional(mnn.MinGRU(3, 4), mnn.MinGRU(3, 4))
    with pytest.raises(ArgumentError, match="one layout"):
        mnn.Bidirectional(mnn.MinGRU(3, 4), mnn.MinGRU(3, 4, reverse=True, layout="BTC"))
    both = mnn.Bidirectional(mnn.MinGRU(3, 4), mnn.MinGRU(3, 4, reverse=True))
    with pytest.raises(ArgumentError, match="a list of two, got a State"):
        both(torch.randn(5, 2, 3), mr.State())
    with pytest.raises(UnsupportedError, match="samples after this one"):
        both.step(torch.randn(2, 3))
    packed = pack_padded_sequence(torch.randn(5, 2, 3), torch.tensor([5, 3]))
    with pytest.raises(ArgumentError, match="lengths is given besides a PackedSequence"):
        mnn.MinGRU(3, 4)(packed, lengths=[5, 3])
