"""What the machine and this process tell and do: memory, caches, cores, clock, interrupts, what machine it is.

Imports nothing of the harness, and of the library `_machine` alone.
"""
