"""JAX as a user finds it, and quick compilation."""

import pytest

jax = pytest.importorskip("jax")


@pytest.fixture(autouse=True)
def _jax_as_it_starts():
    jax.config.update("jax_disable_most_optimizations", True)
    # as a user finds it, whatever ran before in this process
    with jax.enable_x64(False):
        yield
    jax.config.update("jax_disable_most_optimizations", False)
