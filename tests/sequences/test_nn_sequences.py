"""Filter units take what marks sequences off, and pass it on."""

import pytest
import torch

import multirec as mr
from multirec import nn as mnn

UNITS = {
    "bank": (lambda: mnn.FilterBank(3, backend="reference"), (2, 9)),
    "frozen": (lambda: mnn.FilterBank(3, backend="reference").freeze(), (2, 3, 9)),
    "band-pass": (lambda: mnn.BandpassBank(3, 16000, backend="reference"), (2, 1, 9)),
    "cascade": (lambda: mnn.ParametricEQ(2, 48000, backend="reference"), (2, 1, 9)),
    "layer": (lambda: mnn.RecurrenceLayer(3, 4, layout="BTC", backend="reference"), (2, 9, 3)),
}


@pytest.mark.parametrize("name", UNITS)
def test_padding_and_sequences_of_units(name):
    torch.manual_seed(0)
    make, shape = UNITS[name]
    unit = make()
    x = torch.randn(shape)
    time = 1 if name == "layer" else x.ndim - 1
    y, state = unit(x, lengths=[4, 9])
    y_time = 1 if name == "layer" else 2
    alone, own = unit(x[:1].narrow(time, 0, 4))
    torch.testing.assert_close(y[:1].narrow(y_time, 0, 4), alone)
    assert not y[0].narrow(y_time - 1, 4, 5).any()
    for part, other in zip(flat(state), flat(own), strict=True):
        torch.testing.assert_close(part[:1], other)
    spoiled = x.clone()
    spoiled[0].narrow(time - 1, 4, 5).fill_(torch.nan)
    again, _ = unit(spoiled, lengths=torch.tensor([4, 9]))
    torch.testing.assert_close(again, y)
    if again.requires_grad:
        again.square().sum().backward()
        assert all(weight.grad.isfinite().all() for weight in unit.parameters())
    row, after = unit(x[:1], cu_seqlens=[0, 4, 9])
    torch.testing.assert_close(row.narrow(y_time, 0, 4), alone)
    resets = torch.zeros(1, 9, dtype=torch.bool)
    resets[0, 4] = True
    torch.testing.assert_close(unit(x[:1], resets=resets)[0], row)
    assert all(part.shape[0] == 2 for part in flat(after))


def flat(state):
    """Return the parts of one State, or of several."""
    return [*state] if isinstance(state, mr.State) else [part for own in state for part in own]
