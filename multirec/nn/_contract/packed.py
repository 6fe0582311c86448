"""Packed sequences of torch: unpacked to a padded batch with lengths, and packed again."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from multirec.errors import ArgumentError

from .unit import RecurrentUnit

__all__ = ["packed"]


def packed(unit: RecurrentUnit, x: PackedSequence, state: Any, **cuts: Any) -> tuple[PackedSequence, Any]:
    """Return what `unit` makes of packed sequences, packed alike; the states are in the order before packing."""
    given = [name for name, value in cuts.items() if value is not None]
    if given:
        raise ArgumentError(
            f"{' and '.join(given)} is given besides a PackedSequence, which says itself where its sequences end. Pass "
            "a padded tensor and lengths."
        )
    first = unit.layout == "BTC"
    padded, lengths = pad_packed_sequence(x, batch_first=first)
    outs, state = unit(padded, state, lengths=lengths)
    order = x.sorted_indices
    if order is not None:
        # as x was, since sequences of like length could come in another order
        outs, lengths = outs.index_select(0 if first else 1, order), lengths[order.cpu()]
    data: Tensor = pack_padded_sequence(outs, lengths, batch_first=first).data
    return PackedSequence(data, x.batch_sizes, order, x.unsorted_indices), state
