"""The emulator sees what it is there to see: one faulty kernel for every kind of fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_emulated import sanitizer_libraries

HERE = Path(__file__).parent
WRITTEN = "a race: no barrier between a write and another thread's access"
READ = "a race: no barrier between a read and another thread's write"
WAITING = "some threads wait for ever at a barrier or shuffle"

SAID = {
    "sound": "nothing",
    "no_syncwarp": WRITTEN,
    "overwritten_early": READ,
    "no_syncthreads": WRITTEN,
    "next_item_too_early": READ,
    "lane_misses_a_shuffle": WAITING,
    "threads_meet_at_different_barriers": "threads meet at different barriers or shuffles",
    "warp_misses_the_blocks_barrier": WAITING,
    "blocks_depend_on_their_order": READ,
    "blocks_write_the_same": WRITTEN,
    "misaligned": "misaligned address",
    "misaligned_in_shared_memory": "misaligned address",
    "beyond_the_array": "heap-buffer-overflow",
    "beyond_shared_memory": "use-after-poison",
    "beyond_a_lanes_own_array": "out of bounds",
    "index_beyond_31_bits": "signed integer overflow",
    "never_written": "not a number",
}


@pytest.mark.long
def test_every_kind_of_fault_is_seen():
    environment = os.environ | {"LD_PRELOAD": ":".join(sanitizer_libraries()), "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-c", "import faulty; faulty.main()"]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    said = {line["name"]: line["said"] for line in map(json.loads, done.stdout.splitlines())}
    assert said.keys() == SAID.keys(), done.stderr
    unseen = {name: said[name] for name, fault in SAID.items() if fault not in said[name]}
    assert not unseen, "\n".join(f"{name}: {text[-300:]}" for name, text in unseen.items())
