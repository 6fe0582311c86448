"""Recurrences with an activation inside: independent recurrent units, SRU whose gates read its state, and envelopes.

A call is validated (`check`, and once for a signature: `bound`), its arrays are brought to the kernel's axes (`call`)
and its kernel is chosen (`choose`) and run (`launch`). Imports `_sequences` and the rooms before it; the bridge to
torch imports this room.
"""
