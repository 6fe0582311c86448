"""Two CPU devices, for `shard_map`, where JAX has not been used before; and quick compilation."""

import contextlib

import pytest

jax = pytest.importorskip("jax")
with contextlib.suppress(RuntimeError):
    jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture(autouse=True)
def _quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
