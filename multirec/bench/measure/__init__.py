"""How a run goes: a process for each contestant, checks of all of them, then interleaved rounds. Imports every room.

`run` is the whole; `check` and `rounds` are its two parts, and `process` and `worker` the two ends of a pipe.
"""
