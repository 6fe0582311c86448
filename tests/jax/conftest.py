"""Two CPU devices, for `shard_map`, where JAX has not been used before; and quick compilation."""

import contextlib

import pytest

jax = pytest.importorskip("jax")
with contextlib.suppress(RuntimeError):
    jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture(autouse=True)
def _jax_as_it_starts():
    jax.config.update("jax_disable_most_optimizations", True)
    # as a user finds it, whatever ran before in this process
    with jax.enable_x64(False):
        yield
    jax.config.update("jax_disable_most_optimizations", False)
