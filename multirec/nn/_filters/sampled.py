"""Units whose weights stand for frequencies, which they do at one sample rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from multirec.errors import ArgumentError

__all__ = ["SampledUnit"]


class SampledUnit(nn.Module):
    """A unit that puts its sample rate into its `state_dict`, and loads none of another."""

    sample_rate: float

    def get_extra_state(self) -> torch.Tensor:
        """Return the sample rate, which says what frequencies the weights in a `state_dict` are."""
        return torch.tensor(self.sample_rate, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Raise unless a `state_dict` is of a unit at this sample rate."""
        state = torch.as_tensor(state, device="cpu")
        # a state_dict that was cast has it rounded
        if not torch.isclose(state, torch.tensor(self.sample_rate, dtype=state.dtype, device="cpu")):
            raise ArgumentError(
                f"the state_dict is of a {type(self).__name__} at {float(state):g} Hz, and this one is at "
                f"{self.sample_rate:g} Hz, where the same weights are other frequencies. Load it into one with "
                f"sample_rate={float(state):g}, and give that one's frequencies in Hz to a new one."
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        # a state_dict of version 0.1 has no such entry; others are looked at before torch has copied a weight
        self.set_extra_state(state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state()))
        super()._load_from_state_dict(state_dict, prefix, *others)
