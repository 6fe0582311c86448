"""What is asked of the operating system and of this process: memory, caches, cores, the clock, interrupts.

Imports nothing of the harness, and of the library `_machine` alone.
"""
