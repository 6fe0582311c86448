"""Sums of what is to come: the returns of reinforcement learning, which are scans that run backwards."""

from ._discounted import discounted_returns
from ._gae import gae

__all__ = ["discounted_returns", "gae"]
