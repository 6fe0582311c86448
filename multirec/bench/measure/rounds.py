"""The timed part of a run: interleaved rounds of a case and mode, with the reference a second time and memcpy.

How far the reference and its copy differ is the smallest difference that is called one. What is slow takes part in
fewer rounds, spread evenly.
"""

from __future__ import annotations

from collections import defaultdict
from random import SystemRandom
from statistics import median
from typing import cast

from ..contestants import GpuMemcpy, Memcpy, Sample, copied_bytes
from ..host.gpu_clocks import Watch
from ..results import statistics
from ..results.cells import Cell
from ..results.format import Clocks, Status
from .context import ANSWER_LIMIT, RunContext
from .limits import too_fast, unseen_work
from .plan import LEAST, calls_per_sample, rounds, share
from .process import Worker, WorkerError
from .schedule import Schedule, turn_seconds
from .timing import check_inputs, timed

# a call cheaper than this is timed once even where the time is up
_ANYWAY = 0.2
# seconds beyond the budget for a look at the inputs of what was timed
_LAST_LOOK = 2.0
# samples of nothing or less before a clock is given up
_BAD_CLOCK = 3
# so many looks at results at first, and in this part of all later turns
_FIRST_LOOKS, _LATER_LOOKS = 2, 0.05
_RANDOM = SystemRandom()


class Rounds:
    """The rounds of all open cells."""

    def __init__(self, context: RunContext) -> None:
        self.context, self.results, self.budget = context, context.results, context.budget
        costs: defaultdict[int, float] = defaultdict(float)
        for cell in context.open_cells():
            costs[cell.case] += cell.cost
        # what expensive cases turn out not to need is left for cheap ones, which have many turns for it
        cells = sorted(context.open_cells(), key=lambda cell: -costs[cell.case])
        groups = dict.fromkeys((cell.case, cell.mode) for cell in cells)
        self.schedules = [Schedule.of(group, context.results) for group in groups]
        self.backwards = 0
        self.watch: Watch | None = None

    def go(self) -> None:
        """Time what is open, group by group, each for its part of what is left of the budget."""
        if not self.schedules:
            return
        for schedule in self.schedules:
            self._start_copies(schedule)
        on_gpu = any(cell.device != "cpu" for schedule in self.schedules for cell in schedule.cells)
        self.watch = Watch() if on_gpu else None
        try:
            self._measure_all()
        finally:
            self._keep_bandwidth()
            if self.watch is not None:
                self.results.clocks = cast(Clocks, self.watch.end())

    def _measure_all(self) -> None:
        for place, schedule in enumerate(self.schedules):
            self._measure(schedule, self.schedules[place + 1 :])
            # what was measured is looked at though the budget may have ended
            self.budget.allowance = _LAST_LOOK
            for cell in schedule.cells:
                if cell.open:
                    with self.context.settling(cell):
                        if cell.samples:
                            check_inputs(self._worker(schedule, cell))
                        cell.close(*self._settled(schedule, cell))
                        self.context.report(cell)
            self.budget.allowance = 0.0
            for cell in (schedule.copy, *schedule.cells):
                self.context.release(self._worker(schedule, cell))

    def _measure(self, schedule: Schedule, later: list[Schedule]) -> None:
        """Run a first round, which shows better than the checks what a round takes, and then the others."""
        spare = self._plan(schedule, later)
        self.context.progress.phase("first round", len(schedule.members))
        self._run(schedule, [1] * len(schedule.members), spare)
        taken = 0
        # what is left in the end, because calls were quicker than predicted, is planned again
        while not schedule.finished() and taken < schedule.taken() and not (taken and later):
            taken = schedule.taken()
            spare = self._plan(schedule, later)
            if not any(schedule.turns):
                return
            self.context.progress.phase("measure", sum(schedule.turns))
            self._run(schedule, schedule.turns, spare)

    def _start_copies(self, schedule: Schedule) -> None:
        """Start the hidden copy and the copies of memory; without them the run goes on, and says what is missing."""
        case = self.results.cases[schedule.copy.case]
        self.context.progress.step(f"{schedule.copy.contestant} again")
        try:
            contestant = self.context.worker(schedule.reference).contestant
            worker = self.context.add_worker(_copy_name(schedule.copy), contestant)
            schedule.copy.cost, _ = worker.ask(ANSWER_LIMIT, "warm", case, schedule.copy.mode)
            self.context.release(worker)
        except WorkerError as failure:
            schedule.copy.close(failure.status, failure.reason)
            self.results.notes.append(f"{case.name} {schedule.copy.mode} has no A/A floor: {failure.reason}")
        for kind in sorted({cell.device.split(":")[0] for cell in schedule.cells}):
            memcpy = Memcpy() if kind == "cpu" else GpuMemcpy()
            # a copy is the same in every mode, and needs none of the gradients' arrays
            cell = Cell(memcpy.name, "forward", case=schedule.copy.case, device=kind)
            worker = self.context.add_worker(memcpy.name, memcpy)
            try:
                cell.cost, _ = worker.ask(ANSWER_LIMIT, "warm", case, cell.mode)
                cache = worker.ask(ANSWER_LIMIT, "cache")
            except WorkerError as failure:
                self.results.notes.append(f"no fraction of memcpy on {kind}: {failure.reason}")
                continue
            schedule.memcpy_cells.append(cell)
            if cache is not None:
                self.results.caches[kind] = cache
        schedule.hold = self.context.fits_together([*schedule.cells, schedule.copy])

    def _plan(self, schedule: Schedule, later: list[Schedule]) -> float:
        """Plan the turns of a schedule and of those after it, and return the seconds that are not for this one."""
        cells = [cell for each in (schedule, *later) for cell in each.members]
        for cell in cells:
            # a continued cell goes on as it began
            cell.calls = cell.calls if cell.samples else calls_per_sample(cell.cost)
        costs, had = [turn_seconds(cell) for cell in cells], [len(cell.samples) for cell in cells]
        least = [count for each in (schedule, *later) for count in each.least]
        left = self.budget.left()
        counts = iter(share(costs, had, least, left, self.context.request.effort.rounds))
        for each in (schedule, *later):
            each.plan([next(counts) for _ in each.members])
        reserved, own = sum(each.seconds() for each in later), schedule.seconds()
        # what later groups need is not given away, and least of all their first turns
        first = sum(turn_seconds(cell) for each in later for cell in each.members)
        return max(left * reserved / max(reserved + own, 1e-9), first)

    def _run(self, schedule: Schedule, turns: list[int], spare: float) -> None:
        """Run rounds until the time of this schedule is up, or no member gains from another."""
        # what the floor needs may come out of the time of later groups, where it is little
        little = 4 * statistics.ENOUGH * turn_seconds(schedule.reference) < self.budget.left() - spare
        first = max((turn + 1 for cell in schedule.members for turn in cell.rounds), default=0)
        seed = hash((self.context.request.seed, schedule.copy.case, first))
        for number, order in enumerate(rounds(turns, seed), first):
            for position, member in enumerate(order):
                cell = schedule.members[member]
                least = statistics.ENOUGH if member < 2 and little else LEAST if cell.cost < _ANYWAY else 1
                if cell.open and schedule.wants(member) and self._in_time(schedule, cell, least, spare):
                    self._turn(schedule, cell, number, position)
            timed = [cell for cell in schedule.cells if cell.samples]
            if timed:
                self.context.progress.leader(min(timed, key=lambda cell: median(cell.samples)))
            schedule.look(self.results, self.context.request.effort.narrow)
            if schedule.finished():
                return

    def _in_time(self, schedule: Schedule, cell: Cell, least: int, spare: float) -> bool:
        own = turn_seconds(cell)
        left = self.budget.left() - own
        if cell.waits:
            # what is quicker, here or in a later schedule, is not left without a sample
            waiting = (turn_seconds(other) for each in self.schedules for other in each.members if other.waits)
            return left > sum(seconds for seconds in waiting if seconds < own) or cell.cost < _ANYWAY
        if len(cell.samples) < least:
            return left > 0
        return left > spare + sum(turn_seconds(other) for other in schedule.members if other.waits)

    def _turn(self, schedule: Schedule, cell: Cell, number: int, position: int) -> None:
        self.context.progress.step(f"{cell.contestant} {cell.mode}")
        worker = self._worker(schedule, cell)
        limit = ANSWER_LIMIT + 20 * turn_seconds(cell)
        try:
            sample = timed(self.context, worker, cell, limit, number, self._looks(schedule, cell))
            if self.watch is not None and cell.device != "cpu":
                self.watch.look()
            if not schedule.hold:
                check_inputs(worker)
                worker.ask(limit, "release")
            self._keep(schedule, cell, sample, number, position)
        except WorkerError as failure:
            if failure.status == "no_time_left":
                # the budget ended, and what was measured before stands
                return
            cell.close(failure.status, failure.reason)
            if cell in schedule.cells:
                self.context.report(cell)

    def _looks(self, schedule: Schedule, cell: Cell) -> bool:
        """Draw whether the result of one of a turn's calls is looked at: always at first, then more and more rarely."""
        if cell not in schedule.cells or self.context.worker(cell).contestant.own_equation:
            return False
        return _RANDOM.random() < max(_FIRST_LOOKS / (len(cell.samples) + 1), _LATER_LOOKS)

    def _keep(self, schedule: Schedule, cell: Cell, sample: Sample, number: int, position: int) -> None:
        if sample.seconds > 0:
            cell.add(sample, number, position)
            if cell not in schedule.memcpy_cells:
                self.context.journal.sample(cell, sample, cell is schedule.copy)
            return
        self.backwards += 1
        if self.backwards == 1:
            self.results.notes.append(
                "The clock went backwards during a call; such samples are dropped. Is the machine suspended or moved?"
            )
        if self.backwards >= _BAD_CLOCK and not cell.samples:
            raise WorkerError("crash", f"its clock says that a call takes {sample.seconds:g} s")

    def _settled(self, schedule: Schedule, cell: Cell) -> tuple[Status, str]:
        """Return what becomes of a cell that is still open after its rounds."""
        if not cell.samples:
            # the call that was checked was timed, too; no round had it, so that it has no ratio
            last = max((turn for other in schedule.members for turn in other.rounds), default=-1)
            cell.add(Sample(cell.cost), last + 1, 0)
            self.results.notes.append(
                f"{cell.contestant} {cell.mode}: its one time is that of the call that was checked"
            )
        case, kind = self.results.cases[cell.case], cell.device.split(":")[0]
        moved = 2 * copied_bytes(case)
        copies = [moved / seconds for each in schedule.memcpy_cells if each.device == kind for seconds in each.samples]
        fault = too_fast(case, cell, copies, self.results.caches.get(kind)) or unseen_work(cell)
        return ("bad_time", fault) if fault else ("ok", "")

    def _worker(self, schedule: Schedule, cell: Cell) -> Worker:
        return self.context.workers[_copy_name(cell) if cell is schedule.copy else cell.contestant]

    def _keep_bandwidth(self) -> None:
        rates: dict[str, list[float]] = {}
        for schedule in self.schedules:
            moved = 2 * copied_bytes(self.results.cases[schedule.copy.case])
            for cell in schedule.memcpy_cells:
                rates.setdefault(cell.device, []).extend(moved / seconds for seconds in cell.samples)
                self.results.bandwidth_samples.setdefault(cell.device, []).extend(cell.samples)
        self.results.bandwidth = {device: median(found) for device, found in rates.items() if found}


def _copy_name(cell: Cell) -> str:
    return f"{cell.contestant} (hidden copy)"
