"""What files of torch name, registered: the operators of exported programs, and states in programs and checkpoints."""

from __future__ import annotations

import torch
from torch.utils import _pytree

from .._core.state import State
from . import activated, door

__all__ = ["activated", "door"]

_pytree._register_namedtuple(State, serialized_type_name="multirec.State")
torch.serialization.add_safe_globals([State])
