"""The timed part of a run: interleaved rounds of a case and mode, with the reference's hidden copy and a yardstick.

How far the reference and its copy differ is what no other difference may be believed below. What is slow takes part
in fewer rounds, spread evenly.
"""

from __future__ import annotations

from statistics import median

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
        groups = dict.fromkeys((cell.case, cell.mode) for cell in team.open_cells())
        self.laps = [Lap.of(group, team.results) for group in groups]
        self.backwards = 0

    def go(self) -> None:
        """Time what is open, group by group, each for its part of what is left of the budget."""
        if not self.laps:
            return
        for lap in self.laps:
            self._hire(lap)
        self._plan()
        for place, lap in enumerate(self.laps):
            weights = [other.seconds() for other in self.laps[place:]]
            # what later groups need is not given away, and least of all their first turns
            first = sum(turn_seconds(cell) for other in self.laps[place + 1 :] for cell in other.members)
            self._run(lap, max(self.budget.left() * (1 - weights[0] / sum(weights)), first))
            for cell in lap.cells:
                if cell.open:
                    late = f"one call took {seconds_text(cell.cost)}, and no time was left to time it; raise --time"
                    cell.close("ok" if cell.samples else "too_slow", "" if cell.samples else late)
                    self.team.tell(cell)
            for cell in lap.members:
                self._release(self._worker(lap, cell))
        self._keep_bandwidth()

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
            self.results.notes.append(f"{case.name} {lap.copy.mode}: no A/A floor, {failure.reason}")
        for kind in sorted({cell.device.split(":")[0] for cell in lap.cells}):
            yardstick = Memcpy() if kind == "cpu" else GpuMemcpy()
            cell = Cell(yardstick.name, lap.copy.mode, case=lap.copy.case, device=kind)
            worker = self.team.hire(yardstick.name, yardstick)
            try:
                cell.cost, _ = worker.ask(PATIENCE, "warm", case, cell.mode)
            except WorkerError as failure:
                self.results.notes.append(f"no fraction of memcpy on {kind}: {failure.reason}")
                continue
            lap.yardsticks.append(cell)
        lap.hold = self.team.fits_together([*lap.cells, lap.copy])

    def _plan(self) -> None:
        cells = [cell for lap in self.laps for cell in lap.members]
        for cell in cells:
            # a continued cell goes on as it began
            cell.calls = cell.calls if cell.samples else calls_per_sample(cell.cost)
        most = self.team.request.effort.rounds
        counts = iter(share([turn_seconds(cell) for cell in cells], self.budget.left(), most))
        for lap in self.laps:
            lap.plan([next(counts) for _ in lap.members])
        self.team.progress.phase("measure", sum(sum(lap.turns) for lap in self.laps))

    def _run(self, lap: Lap, spare: float) -> None:
        """Run rounds until the time of this lap is up, or nobody gains from another."""
        first = max((turn + 1 for cell in lap.members for turn in cell.rounds), default=0)
        seed = hash((self.team.request.seed, lap.copy.case, first))
        for number, order in enumerate(rounds(lap.turns, seed), first):
            for position, who in enumerate(order):
                cell = lap.members[who]
                waiting = sum(turn_seconds(other) for other in lap.cells if other.open and not other.samples)
                if cell.open and lap.wants(who) and self._in_time(cell, spare + waiting):
                    self._turn(lap, cell, number, position)
            timed = [cell for cell in lap.cells if cell.samples]
            if timed:
                self.team.progress.leader(min(timed, key=lambda cell: median(cell.samples)))
            lap.look(self.results, self.team.request.effort.narrow)
            if lap.finished():
                return

    def _in_time(self, cell: Cell, spare: float) -> bool:
        left, cheap = self.budget.left() - turn_seconds(cell), cell.cost < _ANYWAY
        if len(cell.samples) < (LEAST if cheap else 1):
            return left > 0 or (cheap and not cell.samples)
        return left > spare

    def _turn(self, lap: Lap, cell: Cell, number: int, position: int) -> None:
        self.team.progress.step(f"{cell.contestant} {cell.mode}")
        case, limit, worker = self.results.cases[cell.case], PATIENCE + 20 * turn_seconds(cell), self._worker(lap, cell)
        try:
            sample: Sample = worker.ask(limit, "time", case, cell.mode, cell.calls, cell.cost < WARM, number)
            if not lap.hold:
                worker.ask(limit, "release")
            self._keep(lap, cell, sample, number, position)
        except WorkerError as failure:
            if failure.status == "timeout" and self.budget.left() <= 0:
                # the budget ended, not the contestant
                return
            cell.close(failure.status, failure.reason)
            if cell in lap.cells:
                self.team.tell(cell)

    def _keep(self, lap: Lap, cell: Cell, sample: Sample, number: int, position: int) -> None:
        if sample.seconds > 0:
            cell.add(sample.seconds, number, position)
            cell.hot, cell.host = sample.hot, sample.host
            if cell not in lap.yardsticks:
                self.team.journal.sample(cell, cell is lap.copy)
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
