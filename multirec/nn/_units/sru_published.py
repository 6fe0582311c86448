"""Weights of the SRU authors' package: gates side by side in each column, here one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from multirec.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from .sru import SRU

__all__ = ["load"]

_OWN = {"weight", "weight_proj", "weight_c", "bias", "scale_x"}


def load(unit: SRU, state_dict: Mapping[str, Tensor]) -> None:
    """Copy published weights into `unit`, all or none of them."""
    others = state_dict.keys() - _OWN
    if others or not {"weight", "weight_c", "bias"} <= state_dict.keys():
        raise ArgumentError(
            f"the state_dict of an SRUCell has weight, weight_c and bias, got {', '.join(sorted(state_dict))}. Of a "
            "whole SRU load its cells rnn_lst.0, rnn_lst.1, … one by one; cells with layer_norm or a module of their "
            "own have no counterpart here."
        )
    weight, hidden = state_dict["weight"], unit.hidden_dim
    if "weight_proj" in state_dict:
        weight = state_dict["weight_proj"] @ weight
    rows = len(unit.projection.weight)
    _check(unit, "weight", weight, (unit.inputs_dim, rows))
    for name in ("weight_c", "bias"):
        _check(unit, name, state_dict[name], (2 * hidden,))
    if unit.v1 and state_dict["weight_c"].any():
        raise ArgumentError(
            "the state_dict has a weight_c other than zero: it is of an SRU whose gates see c, v1=False."
        )
    scale = float(state_dict["scale_x"]) if "scale_x" in state_dict else unit.scale
    if not unit.projected and unit.highway and abs(scale - unit.scale) > 1e-5 * scale:
        raise ArgumentError(
            f"the state_dict scales its highway by {scale:g}, and this SRU by {unit.scale:g}: give it the highway_bias "
            "and rescale that the cell was made with."
        )
    with torch.no_grad():
        blocks = weight.reshape(unit.inputs_dim, hidden, -1).permute(2, 1, 0)
        unit.projection.weight.copy_(blocks.reshape(rows, unit.inputs_dim))
        unit.bias.copy_(state_dict["bias"].view(2, hidden))
        if unit.state_weight is not None:
            unit.state_weight.copy_(state_dict["weight_c"].view(2, hidden))


def _check(unit: SRU, name: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != wanted:
        raise ShapeError(
            f"{name} of the state_dict has shape {tuple(tensor.shape)}, and SRU({unit.inputs_dim}, {unit.hidden_dim}, "
            f"highway={unit.highway}) takes {wanted}: it is of other sizes, of two directions, or has another highway."
        )
