"""Times the workloads of two checkouts in one run: what a change costs.

Each checkout runs in a process of its own, its sources first on the path, and the two take turns. A third process, of
the other checkout again, gives the noise: what differs where nothing does. Run on an idle machine:

    git worktree add /tmp/before main~1
    python bench/versus.py /tmp/before [--rounds 9] [--backend numba] [-o FILE.json] [W1 W5 …]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

WORKER = """
import sys, time
from workloads import WORKLOADS
name, backend = sys.argv[1:]
work = WORKLOADS[name](backend)
for line in sys.stdin:
    mode, repeat = line.split()
    call = getattr(work, mode).get(backend)
    start = time.perf_counter_ns()
    for _ in range(int(repeat)):
        call and call()
    print((time.perf_counter_ns() - start) / 1e6 / int(repeat), flush=True)
"""


class Checkout:
    """A process that runs one workload of a checkout when it is asked to."""

    def __init__(self, root: Path, name: str, backend: str) -> None:
        paths = os.pathsep.join(str(root / part) for part in ("", "backends", "bench"))
        command = [sys.executable, "-c", WORKER, name, backend]
        environment = os.environ | {"PYTHONPATH": paths}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=root, env=environment, **pipes)

    def time(self, mode: str, repeat: int) -> float:
        """Return the milliseconds of one call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(mode, repeat, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def measure(checkouts: list[Checkout], mode: str, rounds: int) -> np.ndarray:
    """Return milliseconds (rounds, checkouts), each round in a fresh order."""
    rng = np.random.default_rng(0)
    once = max(checkout.time(mode, 1) for checkout in checkouts)
    once = max(checkout.time(mode, 1) for checkout in checkouts)
    repeat = max(1, int(50 / max(once, 0.01)))
    taken = np.empty((rounds, len(checkouts)))
    for row in taken:
        for index in rng.permutation(len(checkouts)):
            row[index] = checkouts[index].time(mode, repeat)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("names", nargs="*", default=[f"W{i}" for i in range(1, 9)], metavar="W1 …")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    here, other = Path(__file__).resolve().parents[1], options.other.resolve()
    revisions = [
        subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=root, text=True).strip()
        for root in (other, here)
    ]
    print(f"before {revisions[0]}, after {revisions[1]}; {platform.processor() or platform.machine()}")
    print(f"{'row':4} {'mode':8} {'before':>10} {'after':>10} {'after/before':>13} {'noise':>6}")
    rows: dict[str, Any] = {}
    for name in options.names:
        checkouts = [Checkout(root, name, options.backend) for root in (other, here, other)]
        for mode in ("forward", "both"):
            taken = measure(checkouts, mode, options.rounds)
            if np.median(taken) < 1e-3:
                continue
            before, after, again = taken.T
            ratio, noise = (float(np.median(part / before)) for part in (after, again))
            print(f"{name:4} {mode:8} {np.median(before):10.3f} {np.median(after):10.3f} {ratio:13.3f} {noise:6.3f}")
            rows[f"{name} {mode}"] = {
                "before": before.tolist(),
                "after": after.tolist(),
                "before again": again.tolist(),
            }
        for checkout in checkouts:
            checkout.close()
    if options.output:
        document = {"before": revisions[0], "after": revisions[1], "backend": options.backend, "milliseconds": rows}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
