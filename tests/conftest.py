"""Shared by all tests: hypothesis without randomness, idle threads, less collection of garbage, how JAX compiles."""

import gc
import os
import signal

from hypothesis import HealthCheck, settings

# a shell starts what runs in its background with Ctrl-C ignored, and tests press it
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")

# threads of torch and of BLAS spin while they wait, which takes the processors from the tests beside them
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# JAX reads it when it is imported, and some files import it as they are collected
os.environ["JAX_NUM_CPU_DEVICES"] = "2"

# XLA's optimisations take longer than what they would speed up; tests that are about them ask for them
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

# compilers make millions of objects, and looking through them every 700 takes a sixth of their time
gc.set_threshold(20_000, 10, 10)


def pytest_collection_finish():
    # tests and modules stay until the end
    gc.freeze()
