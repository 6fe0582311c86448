"""Shows that the verdicts of `multirec bench` keep their promises: scripted experiments on this machine.

    python bench/aa.py [tie] [slower] [timer] [--runs 100] [-o FILE.json]

* tie: one backend is entered twice under two names; the verdict should be "tie", also while a second process loads
  one core half of the time (tie-loaded).
* slower: a copy of a contestant that takes a tenth longer should be called "slower".
* timer: medians should be within 5 % of those of torch.utils.benchmark.Timer on the same function.

Every run is the engine's own: processes, checks, interleaved rounds, a hidden copy, stopping. Only the case is small
and the budget short, so that a hundred runs take minutes. Each run starts new processes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from multirec.bench.cases.case import Case
from multirec.bench.cases.named import case_named
from multirec.bench.contestants import Contestant, named
from multirec.bench.measure.request import Request
from multirec.bench.measure.run import Run
from multirec.bench.measure.session import Session
from multirec.bench.results.cells import Cell
from multirec.bench.results.origin import describe_machine, versions
from multirec.bench.results.write import document

# small enough for one thread, so that a second process disturbs it no more than it must
CASE = replace(case_named("biquads"), batch=1, channels=32, length=2000)
SECONDS = 6.0


class Silent:
    """Tells nobody anything."""

    def phase(self, name: str, steps: int) -> None: ...

    def step(self, text: str) -> None: ...

    def leader(self, cell: Cell) -> None: ...

    def settled(self, cell: Cell) -> None: ...


class Slower(Contestant):
    """Another contestant whose every call is followed by waiting at work: for a part of what the call takes."""

    def __init__(self, of: Contestant, name: str, extra: float) -> None:
        self.of, self.name, self.summary, self.extra = of, name, of.summary, extra
        self.requires, self.first, self.copies = of.requires, of.first, of.copies

    def load(self) -> Any:
        return self.of.load()

    def prepare(self, case: Case, signals: Any, mode: Any) -> Any:
        run = self.of.prepare(case, signals, mode)

        def slower() -> Any:
            start = time.perf_counter()
            result = run()
            end = time.perf_counter()
            # a part of this very call: cores are not equally fast at every moment
            until = end + self.extra * (end - start)
            while time.perf_counter() < until:
                pass
            return result

        return slower

    def change(self, case: Case, signals: Any, at: Any) -> None:
        self.of.change(case, signals, at)

    def outputs(self, result: Any) -> Any:
        return self.of.outputs(result)


def called(name: str, backend: str) -> Contestant:
    (contestant,) = named((backend,))
    contestant.name = name
    return contestant


def verdict_of(backend: str, factor: float, seed: int) -> tuple[str, dict[str, Any]]:
    """Return what a run of the engine calls a second entry of the backend, and the figures behind it."""
    first = called(backend, backend)
    second = Slower(called("second", backend), "second", factor) if factor else called("second", backend)
    request = Request([first, second], [CASE], ["forward"], "default", SECONDS, seed)
    found = document(Run(request, Silent()).go())
    rows = [row for row in found["ratios"] if "second" in (row["contestant"], row["reference"])]
    if not rows:
        return "nothing", {"cells": [(cell["contestant"], cell["status"], cell["reason"]) for cell in found["cells"]]}
    (row,) = rows
    verdict = row["verdict"]
    if row["reference"] == "second":
        # the second was quicker in its check, and became the reference
        verdict = {"faster": "slower", "slower": "faster"}.get(verdict, verdict)
    floor = found["floors"][0]["floor"]
    return verdict, {key: row[key] for key in ("ratio", "low", "high", "rounds")} | {"floor": floor}


@contextmanager
def half_a_core() -> Iterator[None]:
    """Load one core half of the time meanwhile."""
    process = multiprocessing.get_context("spawn").Process(target=_burn, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _burn() -> None:
    while True:
        until = time.perf_counter() + 0.05
        while time.perf_counter() < until:
            pass
        time.sleep(0.05)


def experiment(backend: str, factor: float, runs: int) -> dict[str, Any]:
    """Count the verdicts of so many runs."""
    found = [verdict_of(backend, factor, seed) for seed in range(runs)]
    return {"runs": runs, "verdicts": Counter(verdict for verdict, _ in found), "figures": [row for _, row in found]}


def timer(backend: str, runs: int) -> dict[str, Any]:
    """Compare the harness's median with that of torch.utils.benchmark.Timer, in one process and in turns."""
    from torch.utils.benchmark import Timer

    (contestant,) = named((backend,))
    session = Session(contestant)
    session.load(False)
    cost, _ = session.warm(CASE, "forward")
    calls = max(1, round(0.02 / cost))
    theirs = Timer("run()", globals={"run": session._run(CASE, "forward")}, num_threads=1)
    ratios = []
    for _ in range(runs):
        # in turns, so that drift meets both
        turns = [
            (session.time(CASE, "forward", calls, True, turn).seconds, theirs.timeit(calls).mean) for turn in range(30)
        ]
        ours, other = zip(*turns, strict=True)
        ratios.append(median(ours) / median(other))
    return {"runs": runs, "ratios": ratios, "median": median(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = ("tie", "tie-loaded", "slower", "timer")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(kinds)} (all)")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "case": CASE.describe(),
        "backend": options.backend,
        "machine": describe_machine(),
        "versions": versions(("torch", "llvmlite")),
    }
    for kind in options.kinds or kinds:
        began = time.monotonic()
        if kind == "timer":
            report[kind] = timer(options.backend, min(options.runs, 20))
            told = f"median of ours over theirs {report[kind]['median']:.3f}"
        elif kind == "tie-loaded":
            with half_a_core():
                report[kind] = experiment(options.backend, 0.0, options.runs)
            told = dict(report[kind]["verdicts"])
        else:
            report[kind] = experiment(options.backend, 0.1 if kind == "slower" else 0.0, options.runs)
            told = dict(report[kind]["verdicts"])
        print(f"{kind:10} {told}, {time.monotonic() - began:.0f} s", flush=True)
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
