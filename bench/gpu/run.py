"""What `make gpu` runs: steps in processes of their own, each within a time, under 8 minutes for all of them.

First all kernels are compiled, then comes the benchmark, then the kernels against the reference, the conformance suite,
the faults that only a device shows, and compute-sanitizer where it exists. Results are written as they come. What
crashes or hangs costs its own item: the step goes on with the next one in a new process.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import perf_counter

from .goals import verdicts
from .results import Results, without_folders

BENCH = Path(__file__).parents[1]
"""Where `python -m gpu` finds this package."""
SECONDS = 450
STEPS = {
    "compiling": (75, 75),
    "benchmark": (240, 45),
    "kernels": (60, 30),
    "conformance": (80, 40),
    "faults": (60, 30),
}
"""Seconds that a step may take in all, and one item of it."""
TOOLS = {"memcheck": 60, "synccheck": 40, "racecheck": 60}
"""What compute-sanitizer looks for, and for how many seconds at most."""
CUT_SHORT = 124
FOUND = 9


def device_name() -> str:
    """Return the name of the first GPU, as a process that may fail says; raises RuntimeError with the reason."""
    program = "import cupy, torch; torch.zeros(1, device='cuda'); print(torch.cuda.get_device_name(0))"
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError("the device did not answer within 120 s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout.strip().splitlines()[-1]


def short_name(device: str) -> str:
    """Return a device as a file name.

    >>> short_name("NVIDIA H200"), short_name("NVIDIA GeForce RTX 4090")
    ('h200', 'rtx-4090')
    """
    words = [word for word in re.split(r"[^a-z0-9]+", device.lower()) if word not in ("nvidia", "geforce", "tesla", "")]
    return "-".join(words[:2] if words and words[0] in ("rtx", "gtx", "quadro") else words[:1]) or "gpu"


def attempt(command: list[str], limit: float, log: Path) -> int:
    """Run a command with all its children, its output to the end of `log`; return its exit code."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=BENCH, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return process.wait(max(limit, 1))
        except subprocess.TimeoutExpired:
            return CUT_SHORT
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # one that hangs in the driver cannot be killed
                process.wait(5)


class Runner:
    """Runs steps until the time is over; rows go to the two result files, all output to a log and to stdout."""

    def __init__(self, folder: Path, card: str, start: float) -> None:
        self.folder, self.card = folder, card
        self.log = folder / f"{card}-log.txt"
        self._start = start
        self._shown = 0
        for name in ("benchmark", "checks"):
            self.results(name).clear()
        folder.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")

    def results(self, step: str) -> Results:
        return Results(self.folder, self.card, "benchmark" if step == "benchmark" else "checks")

    def left(self) -> float:
        return SECONDS - (perf_counter() - self._start)

    def step(self, name: str, seconds: float, limit: float) -> None:
        """Run a step, in a new process after each item that ended the last one."""
        deadline = min(perf_counter() + seconds, self._start + SECONDS)
        first = 0
        while perf_counter() < deadline:
            command = [sys.executable, "-m", "gpu", "--results", str(self.folder), "--card", self.card]
            command += ["--step", name, "--first", str(first), "--limit", str(limit)]
            code = self._attempt(command, deadline - perf_counter())
            if code == 0:
                return
            results = self.results(name)
            begun = results.document.get("begun", -1) if results.document.get("step") == name else -1
            if begun < first:
                results.add(step=name, item="start", status="failed", reason=_ending(code))
                return
            status = "unfinished" if code == CUT_SHORT else "failed"
            reason = f"{_ending(code)}, or longer than {limit:.0f} s" if code == 1 else _ending(code)
            results.add(step=name, item=results.document["items"][begun], status=status, reason=reason)
            first = begun + 1
            if first == len(results.document["items"]):
                return
        self.results(name).add(step=name, item=f"from number {first} on", status="unfinished", reason="no time left")

    def sanitizer(self) -> None:
        """Run the kernels under compute-sanitizer, where it is installed."""
        tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
        results = self.results("sanitizer")
        if tool is None:
            results.add(step="sanitizer", item="all", status="skipped", reason="compute-sanitizer is not installed")
            return
        for name, seconds in TOOLS.items():
            if self.left() < 10:
                results.add(step="sanitizer", item=name, status="unfinished", reason="no time left")
                continue
            command = [tool, "--tool", name, "--error-exitcode", str(FOUND)]
            command += [sys.executable, "-m", "gpu.steps.sanitized"]
            code = self._attempt(command, min(seconds, self.left()))
            status = {0: "ok", CUT_SHORT: "unfinished", FOUND: "failed"}.get(code, "skipped")
            results.add(step="sanitizer", item=name, status=status, reason=_ending(code))

    def _attempt(self, command: list[str], limit: float) -> int:
        code = attempt(command, limit, self.log)
        written = self.log.read_bytes()
        sys.stdout.write(written[self._shown :].decode("utf-8", "replace"))
        sys.stdout.flush()
        self._shown = len(written)
        return code


def _ending(code: int) -> str:
    return "cut short" if code == CUT_SHORT else f"the process ended with exit code {code}"


def main() -> int:
    """Run all steps; the exit code is 1 if something is wrong, 2 if there is nothing to run on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("bench/results"))
    parser.add_argument("--step", choices=STEPS, help="run the items of one step in this process")
    parser.add_argument("--card", default="gpu", help="the first word of the files' names")
    parser.add_argument("--first", type=int, default=0, help="the number of the first item")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one item")
    given, start = parser.parse_args(), perf_counter()
    folder = given.results.resolve()
    if given.step:
        from .items import run_items

        step = importlib.import_module(f".steps.{given.step}", __package__)
        results = Results(folder, given.card, "benchmark" if given.step == "benchmark" else "checks")
        run_items(given.step, step.ITEMS, results, given.first, given.limit)
        return 0
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        # what compiling takes is measured too, and a home that cannot be written to does not matter
        os.environ["CUPY_CACHE_DIR"] = cache
        try:
            card = short_name(device_name())
        except RuntimeError as error:
            print(f"make gpu needs torch and CuPy in {sys.executable}, and a GPU: {error}", file=sys.stderr)
            return 2
        runner = Runner(folder, card, start)
        for name, (seconds, limit) in STEPS.items():
            runner.step(name, seconds, limit)
        runner.sanitizer()
    runner.log.write_text(without_folders(runner.log.read_text("utf-8", "replace")), encoding="utf-8")
    faults = runner.results("benchmark").faults + runner.results("checks").faults
    benchmark = runner.results("benchmark")
    benchmark.note(goals=list(verdicts(benchmark.document["rows"])))
    print(*benchmark.goals, sep="\n")
    print(f"== {SECONDS - runner.left():.0f} s in all; results in {folder}", *faults, sep="\n")
    return 1 if faults else 0
