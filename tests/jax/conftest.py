"""JAX as a user finds it, but for quick compilation."""

import pytest

jax = pytest.importorskip("jax")


@pytest.fixture(autouse=True)
def _jax_as_it_starts():
    quick = jax.config.read("jax_disable_most_optimizations")
    # as a user finds it, whatever ran before in this process
    with jax.enable_x64(False):
        yield
    jax.config.update("jax_disable_most_optimizations", quick)


@pytest.fixture
def blocked(monkeypatch):
    """Blocks of samples, as on GPUs."""
    from multirec_backends.jax import _kernel, _solve

    monkeypatch.setattr(_solve, "_BLOCKED_ON", ("cpu", "cuda"))
    compiled = (_kernel._forward, _kernel._vjp)
    for function in compiled:
        function.clear_cache()
    yield
    for function in compiled:
        function.clear_cache()


SLOW = (
    *("test_second_derivatives", "test_derivatives_are_those_of_recurrences", "test_gradients_of_narrow_signals"),
    *("test_real_sections_of_complex_signals_and_complex_ones_of_real", "test_a_backend_that_gives_only_forward"),
    *("test_blocks_lose_no_more_than_predicted", "test_a_bank_of_sections", "test_without_jit"),
    *("test_a_bank_of_a_transfer_function_is_differentiated_along_it", "test_vmap_of_a_hessian"),
    *("test_gradients_of_sections", "test_programs_of_several_devices_and_exported_ones"),
    *("test_check_grads_to_second_order[numba-time_varying]", "test_gradients_are_those_of_jax[numba-complex128]"),
    *("test_vmap_and_gradients_of_it[numba-everything]", "test_vmap_and_gradients_of_it[numba-coefficients]"),
    *("test_vmap_and_gradients_of_it[wanted0]", "test_vmap_and_gradients_of_it[wanted1]"),
    *("test_derivatives_and_vmap_with_a_state_of_no_samples[numba-outputs]", "test_linear_transpose[numba-wanted0]"),
    *("test_pieces_and_blocks[static-20]", "test_pieces_and_blocks[per_example-1]", "test_the_command_says_so_too"),
    *("test_doubles_of_numpy_and_torch_whatever_the_setting[complex128-False]", "test_equinox[cascade]"),
    *("test_unstable_filters[float32-True]", "test_unstable_filters[float64-False]", "test_equinox[of_ba]"),
    *("test_a_bank_that_was_there_before_jax[early(x)]", "test_every_filter_is_as_accurate_as_steps[float64-steady]"),
    *("test_a_bank_that_was_there_before_jax[mr.explain(x, feedback=x)]", "test_vmap_and_gradients_of_it[wanted2]"),
    *("test_every_filter_is_as_accurate_as_steps[float32-noise]", "test_a_call_for_which_the_stack_is_too_short"),
    *("test_values_gradients_and_second_derivatives[reference]", "test_hessian", "test_under_vmap_and_grad"),
    *("test_under_jit_and_scan[of_ba]", "test_under_vmap[of_ba]", "test_under_vmap[cascade]"),
    *("test_values_gradients_and_second_derivatives[numba]", "test_the_interpreter_ends_while_a_program_runs[held]"),
)
"""What JAX compiles longest; of a test that has several parameters, the others are quick."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name != "jax":
            continue
        # transforms meet the same primitives with the other backend
        again = item.path.name == "test_transforms.py" and "[jax" in item.name
        if again or item.name in SLOW or item.name.partition("[")[0] in SLOW:
            item.add_marker(pytest.mark.long)
