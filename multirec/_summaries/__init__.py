"""What a block does to the state before it, as an affine map; maps of blocks that follow each other compose.

`door` computes a block's map: `ends` the state that it leaves from zeros, `transition` what past samples give to it.
`algebra` applies and composes maps. Imports `_recurrence` and the rooms before it.
"""

from .algebra import compose
from .door import replay, summarize
from .summary import Summary

__all__ = ["Summary", "compose", "replay", "summarize"]
