"""Several sequences in one row of time: resets, padded batches and sequences end to end.

Kernels that know of sequences compute them in one pass (`launch`); for the others pieces of one length are computed
side by side (`composed`). `bind` says which. Imports `_engine` and the rooms before it; the bridges import this room.
"""
