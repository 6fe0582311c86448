"""Recurrences whose time is cut over the processes of a torch.distributed mesh.

`door` is the way in; `dtensor` that of DTensors. `function` is one recurrence with its gradient: what a rank computes
of its samples (`local`) and of the first of them (`head`), what travels between ranks (`wire`) and what follows from
that (`fold`). `agree` compares what ranks ask for.
Imports `_torch`, `_summaries` and the rooms before them.
"""
