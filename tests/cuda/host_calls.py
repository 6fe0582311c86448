"""Counts the Python functions of multirec that a small call enters, on the CPU and on a stand-in for a GPU.

A program: it prints JSON. On the stand-in no kernel computes; what is counted is the host's way to each launch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import multirec as mr


def visits(call: Callable[[], Any]) -> int:
    """Return how many functions of multirec's the fourth call enters."""
    for _ in range(3):
        call()
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        own = "/multirec/" in frame.f_code.co_filename or "/multirec_backends/" in frame.f_code.co_filename
        count += event == "call" and own

    sys.setprofile(seen)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def calls(ones: Callable[..., Any]) -> dict[str, Callable[[], Any]]:
    x, a, b = ones(1, 4, 64), ones(4, 2) * 0.1, ones(4, 3)
    learnt = [part.clone().requires_grad_() for part in (x, a, b)]

    def train() -> None:
        x, a, b = learnt
        # in the calling thread, whose functions alone are counted
        with torch.autograd.set_multithreading_enabled(False):
            mr.recurrence(x, feedback=a, feedforward=b)[0].backward(x)

    return {"forward": lambda: mr.recurrence(x, feedback=a, feedforward=b), "forward+backward": train}


def main() -> None:
    x, a, b = (np.ones(shape, np.float32) for shape in ((1, 4, 64), (4, 2), (4, 3)))
    counts = {"numpy forward": visits(lambda: mr.recurrence(x, feedback=a, feedforward=b))}
    counts |= {f"cpu {name}": visits(call) for name, call in calls(torch.ones).items()}
    import standin

    standin.fake_cupy()
    standin.fake_torch()
    standin.fake_multirec()
    counts |= {f"cuda {name}": visits(call) for name, call in calls(torch.ones).items()}
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
