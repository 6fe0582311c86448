"""A turn of a contestant: its call is timed, and what was seen of it is compared with what is right."""

from __future__ import annotations

from ..contestants import Sample
from ..results.cells import Cell
from .context import ANSWER_LIMIT, REFERENCE, RunContext
from .process import Worker, WorkerError
from .schedule import WARM


def timed(context: RunContext, worker: Worker, cell: Cell, limit: float, number: int, look: bool) -> Sample:
    """Return the time of a call in round `number`; raise `WorkerError` where its result is not right.

    The worker may be that of a copy of the cell's contestant.
    """
    problem = context.results.problem(cell)
    length = context.windows[problem].length
    sample: Sample
    sample, seen = worker.ask(limit, "time", problem, cell.mode, length, cell.calls, cell.cost < WARM, number, look)
    if seen is not None:
        fault = context.workers[REFERENCE].ask(ANSWER_LIMIT, "verify", problem, cell.mode, length, seen)
        if fault:
            raise WorkerError("bad_time", fault)
    return sample


def check_inputs(worker: Worker) -> None:
    """Raise where inputs of timed calls are not what they were."""
    fault = worker.ask(ANSWER_LIMIT, "unchanged")
    if fault:
        raise WorkerError("bad_time", f"in timed calls {fault}")
