"""A run from start to end: screen, load, check, measure. Every cell ends with a status."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ..contestants import picked
from ..host import interrupt
from ..host.clock import Budget
from ..results.cells import Cell, Group, Results
from ..results.journal import Journal, restore
from ..results.origin import describe_machine, git_state, load, versions
from .check import Checks
from .context import Progress, RunContext
from .notes import notes
from .request import Request
from .rounds import Rounds
from .shorter import ShorterCells


class Run:
    """One run. `results` is complete, or as complete as it was when interrupted, whenever `go` returns.

    Parameters
    ----------
    request
        What is to be computed by which contestants.
    progress
        What receives the progress.
    journal
        Where findings are kept while the run goes on; None keeps none.
    resume
        Whether to continue what `journal` holds.
    budget
        Running already, so that it has what came before; None starts one now.
    """

    def __init__(
        self,
        request: Request,
        progress: Progress,
        journal: Path | None = None,
        resume: bool = False,
        budget: Budget | None = None,
    ) -> None:
        self.request = request
        self.budget = budget or Budget(request.effort.seconds)
        self.results = self._results()
        identity = request.identity() | {"machine": self.results.machine["id"]}
        if resume and journal is not None:
            restore(journal, identity, self.results)
            self.results.notes.append("Continued from a journal: part of it was measured earlier.")
        self.journal = Journal(journal, identity)
        self.context = RunContext(request, self.results, self.budget, progress, self.journal)

    def go(self) -> Results:
        """Run, and return the results; Ctrl-C ends it early and keeps what there is."""
        results = self.results
        try:
            interrupt.check()
            Checks(self.context).go()
            ShorterCells(self.context).go()
            Rounds(self.context).go()
        except (interrupt.Interrupted, KeyboardInterrupt):
            results.run["interrupted"] = True
        finally:
            self.context.stop_workers()
        for cell in results.cells:
            if cell.open and cell.samples:
                cell.close("ok")
            cell.close("skipped", "interrupted before it was timed")
        results.run["elapsed_s"] = self.budget.elapsed()
        results.run["compile_s"] = self.budget.excluded
        results.machine["load_after"] = load()
        for group in results.copies:
            results.picks[group] = self._picks(group)
        results.notes.extend(notes(results, self.budget))
        # some are found once a case
        results.notes[:] = dict.fromkeys(results.notes)
        return results

    def _picks(self, group: Group) -> dict[str, str]:
        """Return what auto takes for a case's arrays on each device that backends were timed on."""
        devices = {cell.device for cell in self.results.group(group) if cell.backend and cell.times}
        found = {device: picked(self.results.cases[group[0]], device) for device in sorted(devices)}
        return {device: pick for device, pick in found.items() if pick is not None}

    def _results(self) -> Results:
        request = self.request
        results = Results(
            run={
                "name": request.name,
                "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "elapsed_s": 0.0,
                "budget_s": request.effort.seconds,
                "compile_s": 0.0,
                "preset": request.preset,
                "seed": request.seed,
                "command": request.command,
                "interrupted": False,
            },
            machine=describe_machine(),
            versions=versions(contestant.distribution for contestant in request.contestants),
            git=git_state(),
            cases=list(request.cases),
        )
        for place in range(len(request.cases)):
            for mode in request.modes:
                for contestant in request.contestants:
                    results.cells.append(Cell(contestant.name, mode, case=place, backend=contestant.backend))
        return results
