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


SLOW = (
    *("test_second_derivatives", "test_derivatives_are_those_of_recurrences", "test_gradients_of_narrow_signals"),
    *("test_real_sections_of_complex_signals_and_complex_ones_of_real", "test_a_backend_that_gives_only_forward"),
    *("test_blocks_lose_no_more_than_predicted", "test_a_bank_of_sections"),
)
"""What JAX compiles longest."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name != "jax":
            continue
        # transforms meet the same primitives with the other backend
        again = item.path.name == "test_transforms.py" and "[jax" in item.name
        if again or item.name.partition("[")[0] in SLOW:
            item.add_marker(pytest.mark.long)
