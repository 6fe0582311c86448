"""The exit codes of the command."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multirec.bench.results.cells import Results


class Exit(IntEnum):
    """The exit codes; 1 is Python's own."""

    OK = 0
    USAGE = 2
    REGRESSION = 3
    WRONG = 4
    NOTHING_RAN = 5
    UNCLEAR = 6
    BROKE = 7
    HUNG = 8
    INTERRUPTED = 130


def exit_of(results: Results) -> Exit:
    """Return the exit code that the cells of a run ask for."""
    found = {cell.status for cell in results.cells}
    if results.run["interrupted"]:
        return Exit.INTERRUPTED
    timed = any(cell.samples for cell in results.cells)
    if found <= {"skipped", "no_time_left", "unsupported", "too_slow"} and not timed:
        return Exit.NOTHING_RAN
    if found & {"failed_check", "bad_time"}:
        return Exit.WRONG
    if "timeout" in found:
        return Exit.HUNG
    return Exit.BROKE if found & {"crash", "oom"} else Exit.OK
