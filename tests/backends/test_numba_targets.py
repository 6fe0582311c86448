"""Kernels for processors and systems that are not here, as far as a compiler shows: nothing of this is run."""

import re

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from assembly import KERNELS, PROCESSORS, assembly, loops
from multirec_backends.numba._recurrence.plan import plan
from multirec_backends.numba._run import compile as _compile

import multirec as mr

# forward holds five coefficients, two outputs and three inputs of two vectors: more than there are registers
MOVED = {
    ("AVX2", "order 2 forward"): 10,
    ("Neoverse N1", "order 2 forward"): 24,
    ("Neoverse N1", "order 2 backward"): 20,
    ("Apple M1", "order 2 forward"): 24,
}


@pytest.mark.long
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("processor", ["AVX2", "Neoverse N1", "Apple M1"])
def test_loops_over_samples_have_whole_vectors_and_keep_them_in_registers(processor, kernel):
    found = loops(assembly(processor, kernel))
    assert found
    assert all(loop.whole == loop.multiply_adds for loop in found)
    assert max(loop.moved for loop in found) <= MOVED.get((processor, kernel), 0)


@pytest.mark.parametrize(
    ("processor", "kernel"),
    [
        ("AVX2, Windows", "gates by rows backward"),
        *(
            pytest.param(processor, kernel, marks=pytest.mark.long)
            for processor in PROCESSORS
            for kernel in KERNELS
            if (processor, kernel) != ("AVX2, Windows", "gates by rows backward")
        ),
    ],
)
def test_a_kernel_needs_nothing_but_to_move_and_clear_memory(processor, kernel):
    text = assembly(processor, kernel)
    called = set(re.findall(r"^\t(?:callq?|bl|movabsq)\s+\$?_?(\w+)", text, re.MULTILINE))
    own = {name for name in called if re.match(r"(load|store|stream|offsets|shared)_|L?C?PI|_?[xy]mm|L", name)}
    assert called - own <= {"memmove", "memset"}
    # tables for unwinding, which a loader on Windows may find too far away
    assert not re.search(r"\.seh_|\.[xp]data|\.cfi_", text)


def test_float16_on_a_processor_that_does_not_convert_it(monkeypatch):
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(16, 16, 256)
    b = np.exp(np.random.default_rng(0).uniform(-20, 8, (16, 1))).astype("float32")
    with monkeypatch.context() as patch:
        patch.setattr(_compile, "_converts_half", lambda: False)
        # nothing of it stays: neither in memory nor on disk
        patch.setattr(_compile, "_ready", {})
        patch.setattr(_compile, "_object_code", _compile._build)
        plan.cache_clear()
        same, _ = mr.recurrence(every, feedforward=np.ones((16, 1), "float32"), backend="numba")
        scaled, _ = mr.recurrence(every, feedforward=b, backend="numba")
    plan.cache_clear()
    with np.errstate(all="ignore"):
        expected = (every.astype("float32") * b).astype(np.float16)
    for found, wanted in ((same, every), (scaled, expected)):
        number = ~np.isnan(wanted)
        assert (np.isnan(found) == ~number).all()
        assert (found.view(np.uint16) == wanted.view(np.uint16))[number].all()
