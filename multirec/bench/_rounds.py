"""The timed part of a run: interleaved rounds of a case and mode, with the reference's hidden copy and a yardstick.

How far the reference and its copy differ is what no other difference may be believed below. What is slow takes part
in fewer rounds, spread evenly.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from . import _statistics as statistics
from ._lap import WARM, Lap, turn_seconds
from ._plan import LEAST, calls_per_sample, rounds, share
from ._remote import Worker, WorkerError
from ._results import Cell
from ._team import PATIENCE, Team
from ._text import seconds_text
from .contestants import GpuMemcpy, Memcpy, Sample, copied_bytes

# a call cheaper than this is timed once even where the time is up
_ANYWAY = 0.2
# samples of nothing or less before a clock is given up
_BAD_CLOCK = 3


class Rounds:
    """The rounds of all open cells."""

    def __init__(self, team: Team) -> None:
        self.team, self.results, self.budget = team, team.results, team.budget
        costs: defaultdict[int, float] = defaultdict(float)
        for cell in team.open_cells():
            costs[cell.case] += cell.cost
        # what dear cases turn out not to need is left for cheap ones, which have many turns for it
        cells = sorted(team.open_cells(), key=lambda cell: -costs[cell.case])
        self.laps = [Lap.of(group, team.results) for group in dict.fromkeys((cell.case, cell.mode) for cell in cells)]
        self.backwards = 0

    def go(self) -> None:
        """Time what is open, group by group, each for its part of what is left of the budget."""
        if not self.laps:
            return
        for lap in self.laps:
            self._hire(lap)
        for place, lap in enumerate(self.laps):
            self._measure(lap, self.laps[place + 1 :])
            for cell in lap.cells:
                if cell.open:
                    late = f"one call took {seconds_text(cell.cost)}, and no time was left to time it; raise --time"
                    cell.close("ok" if cell.samples else "too_slow", "" if cell.samples else late)
                    self.team.tell(cell)
            for cell in (lap.copy, *lap.cells):
                self._release(self._worker(lap, cell))
        self._keep_bandwidth()

    def _measure(self, lap: Lap, later: list[Lap]) -> None:
        """Run a first round, which tells better than the checks what a round takes, and then the others."""
        spare = self._plan(lap, later)
        self.team.progress.phase("first round", len(lap.members))
        self._run(lap, [1] * len(lap.members), spare)
        taken = 0
        # what is left in the end, because calls were quicker than thought, is planned again
        while not lap.finished() and taken < lap.taken() and not (taken and later):
            taken = lap.taken()
            spare = self._plan(lap, later)
            if not any(lap.turns):
                return
            self.team.progress.phase("measure", sum(lap.turns))
            self._run(lap, lap.turns, spare)

    def _hire(self, lap: Lap) -> None:
        """Start the copy and the yardsticks; without them the run goes on, and says what is missing."""
        case = self.results.cases[lap.copy.case]
        self.team.progress.step(f"{lap.copy.contestant} again")
        try:
            worker = self.team.hire(_copy_name(lap.copy), self.team.worker(lap.reference).contestant)
            lap.copy.cost, _ = worker.ask(PATIENCE, "warm", case, lap.copy.mode)
            self._release(worker)
        except WorkerError as failure:
            lap.copy.close(failure.status, failure.reason)
            self.results.notes.append(f"{case.name} {lap.copy.mode} has no A/A floor: {failure.reason}")
        for kind in sorted({cell.device.split(":")[0] for cell in lap.cells}):
            yardstick = Memcpy() if kind == "cpu" else GpuMemcpy()
            # a copy is the same in every mode, and needs none of the gradients' arrays
            cell = Cell(yardstick.name, "forward", case=lap.copy.case, device=kind)
            worker = self.team.hire(yardstick.name, yardstick)
            try:
                cell.cost, _ = worker.ask(PATIENCE, "warm", case, cell.mode)
            except WorkerError as failure:
                self.results.notes.append(f"no fraction of memcpy on {kind}: {failure.reason}")
                continue
            lap.yardsticks.append(cell)
        lap.hold = self.team.fits_together([*lap.cells, lap.copy])

    def _plan(self, lap: Lap, later: list[Lap]) -> float:
        """Plan the turns of a lap and of those after it, and return the seconds that are not for this one."""
        cells = [cell for each in (lap, *later) for cell in each.members]
        for cell in cells:
            # a continued cell goes on as it began
            cell.calls = cell.calls if cell.samples else calls_per_sample(cell.cost)
        costs, had = [turn_seconds(cell) for cell in cells], [len(cell.samples) for cell in cells]
        least = [count for each in (lap, *later) for count in each.least]
        left = self.budget.left()
        counts = iter(share(costs, had, least, left, self.team.request.effort.rounds))
        for each in (lap, *later):
            each.plan([next(counts) for _ in each.members])
        reserved, own = sum(each.seconds() for each in later), lap.seconds()
        # what later groups need is not given away, and least of all their first turns
        first = sum(turn_seconds(cell) for each in later for cell in each.members)
        return max(left * reserved / max(reserved + own, 1e-9), first)

    def _run(self, lap: Lap, turns: list[int], spare: float) -> None:
        """Run rounds until the time of this lap is up, or nobody gains from another."""
        # what the floor needs may come out of the time of later groups, where it is little
        little = 4 * statistics.ENOUGH * turn_seconds(lap.reference) < self.budget.left() - spare
        first = max((turn + 1 for cell in lap.members for turn in cell.rounds), default=0)
        seed = hash((self.team.request.seed, lap.copy.case, first))
        for number, order in enumerate(rounds(turns, seed), first):
            for position, who in enumerate(order):
                cell = lap.members[who]
                least = statistics.ENOUGH if who < 2 and little else LEAST if cell.cost < _ANYWAY else 1
                if cell.open and lap.wants(who) and self._in_time(lap, cell, least, spare):
                    self._turn(lap, cell, number, position)
            timed = [cell for cell in lap.cells if cell.samples]
            if timed:
                self.team.progress.leader(min(timed, key=lambda cell: median(cell.samples)))
            lap.look(self.results, self.team.request.effort.narrow)
            if lap.finished():
                return

    def _in_time(self, lap: Lap, cell: Cell, least: int, spare: float) -> bool:
        own = turn_seconds(cell)
        left = self.budget.left() - own
        if cell.waits:
            # what is quicker, here or in a later lap, is not left without a sample
            waiting = (turn_seconds(other) for each in self.laps for other in each.members if other.waits)
            return left > sum(seconds for seconds in waiting if seconds < own) or cell.cost < _ANYWAY
        if len(cell.samples) < least:
            return left > 0
        return left > spare + sum(turn_seconds(other) for other in lap.members if other.waits)

    def _turn(self, lap: Lap, cell: Cell, number: int, position: int) -> None:
        self.team.progress.step(f"{cell.contestant} {cell.mode}")
        case, limit, worker = self.results.cases[cell.case], PATIENCE + 20 * turn_seconds(cell), self._worker(lap, cell)
        try:
            sample: Sample = worker.ask(limit, "time", case, cell.mode, cell.calls, cell.cost < WARM, number)
            if not lap.hold:
                worker.ask(limit, "release")
            self._keep(lap, cell, sample, number, position)
        except WorkerError as failure:
            if failure.status == "skipped":
                # the budget ended, and what was measured before stands
                return
            cell.close(failure.status, failure.reason)
            if cell in lap.cells:
                self.team.tell(cell)

    def _keep(self, lap: Lap, cell: Cell, sample: Sample, number: int, position: int) -> None:
        if sample.seconds > 0:
            cell.add(sample, number, position)
            if cell not in lap.yardsticks:
                self.team.journal.sample(cell, sample, cell is lap.copy)
            return
        self.backwards += 1
        if self.backwards == 1:
            self.results.notes.append(
                "The clock went backwards during a call; such samples are dropped. Is the machine suspended or moved?"
            )
        if self.backwards >= _BAD_CLOCK and not cell.samples:
            raise WorkerError("crash", f"its clock says that a call takes {sample.seconds:g} s")

    def _worker(self, lap: Lap, cell: Cell) -> Worker:
        return self.team.workers[_copy_name(cell) if cell is lap.copy else cell.contestant]

    def _release(self, worker: Worker) -> None:
        if worker.alive:
            try:
                worker.ask(PATIENCE, "release")
            except WorkerError as failure:
                self.results.notes.append(f"{worker.contestant.name} kept its memory: {failure.reason}")

    def _keep_bandwidth(self) -> None:
        rates: dict[str, list[float]] = {}
        for lap in self.laps:
            moved = 2 * copied_bytes(self.results.cases[lap.copy.case])
            for cell in lap.yardsticks:
                rates.setdefault(cell.device, []).extend(moved / seconds for seconds in cell.samples)
                self.results.bandwidth_samples.setdefault(cell.device, []).extend(cell.samples)
        self.results.bandwidth = {device: median(found) for device, found in rates.items() if found}


def _copy_name(cell: Cell) -> str:
    return f"{cell.contestant} (hidden copy)"
