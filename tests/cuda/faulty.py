"""Runs each kernel of faulty.cuh on the emulated device, and prints what it says of it.

A program of its own, since the address sanitizer must be loaded before Python, and one process for each kernel, since
a sanitizer ends the process.
"""

from __future__ import annotations

import json
import os
import re
from tempfile import TemporaryFile

import numpy as np
from emulated import HERE, EmulatedDevice, build, params_of
from multirec_backends.cupy._pack import View

from multirec.backend import Problem

SOURCE = (HERE / "faulty.cuh").read_text()
BLOCKS, THREADS = 4, 64
LENGTH = 1 << 16


def what_is_said(device: EmulatedDevice, name: str) -> str:
    """Run one kernel: four blocks of 64 threads, a number of y for each, and 2 KiB of shared memory."""
    y = np.zeros(BLOCKS * THREADS, np.float32)
    dtypes = ("float32",) * 3
    problem = Problem("numpy", "cpu", *dtypes, "BCT", False, 1, 1, LENGTH, 1, None, None)
    view = View(y.__array_interface__["data"][0], (1, 1, y.size), (0, 0, 1), 4)
    try:
        device.launch(name, BLOCKS, THREADS, 2048, params_of(problem, BLOCKS, {"y": view}))
    except RuntimeError as error:
        return str(error).partition(": ")[2]
    return "not a number" if np.isnan(y).any() else "nothing"


def main() -> None:
    names = re.findall(r"^__device__ void (\w+)", SOURCE, re.MULTILINE)
    library = build(names, further=SOURCE)
    for name in names:
        with TemporaryFile("w+", errors="replace") as said:
            if not os.fork():
                os.dup2(said.fileno(), 2)
                os.write(2, what_is_said(EmulatedDevice(library, seed=1), name).encode())
                os._exit(0)
            os.wait()
            said.seek(0)
            print(json.dumps({"name": name, "said": said.read()}), flush=True)
