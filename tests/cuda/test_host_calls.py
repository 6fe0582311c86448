"""How many of our Python functions a small call enters: what a GPU waits for, counted where nothing else disturbs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MOST = {
    "numpy forward": 40,
    "cpu forward": 50,
    "cpu forward+backward": 105,
    "cuda forward": 32,
    "cuda forward+backward": 58,
}


@pytest.mark.skipif(not (find_spec("llvmlite") and find_spec("jax")), reason="the stand-in needs JAX, the CPU llvmlite")
def test_a_call_is_short():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(HERE.parents[1] / part) for part in ("backends", ""))}
    done = subprocess.run(
        [sys.executable, "host_calls.py"], cwd=HERE, env=environment, capture_output=True, text=True, check=True
    )
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts.keys() == MOST.keys()
    assert {name: count for name, count in counts.items() if not 10 < count <= MOST[name]} == {}
