"""One sequence in several places: blocks of it are summarized, their summaries composed, and each block replayed.

The three pieces work on arrays of every library, and on whatever engine moves them. `recurrence` and `scan` do it all
over the processes of torch.distributed, or the devices of JAX's `shard_map`; `shard_time` has modules of `multirec.nn`
do so, and `cost` says how much is sent.
"""

from .._summaries import Summary, compose, replay, summarize
from .cost import Cost, cost
from .layers import shard_time
from .sharded import recurrence, scan

__all__ = ["Cost", "Summary", "compose", "cost", "recurrence", "replay", "scan", "shard_time", "summarize"]
