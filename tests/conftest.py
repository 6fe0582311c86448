"""Shared by all tests: hypothesis without randomness or deadline, and two CPU devices of JAX."""

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

# JAX reads it when it is imported, and some files import it as they are collected
os.environ["JAX_NUM_CPU_DEVICES"] = "2"
