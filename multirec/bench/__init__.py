"""The benchmark harness: correctness first, then interleaved timing, one disposable process a contestant.

Its rooms, each of which may import those before it and none after:

1. `host`: what is asked of the operating system and of this process. Imports nothing of the harness.
2. `cases`: what is computed, on which numbers, and what is right.
3. `contestants`: what computes it.
4. `results`: what is kept of a run, how it is declared, and what samples say.
5. `show`: what is shown of results: tables, pages, figures.
6. `measure`: how a run goes: processes, checks, rounds.

The command, `multirec.cli`, stands on all of them. Nothing here is imported by the rest of the library.
"""
