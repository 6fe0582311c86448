"""What contestants set up for the process that they have to themselves is taken back."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _jax_as_it_was():
    yield
    if "jax" in sys.modules:
        # a contestant of JAX computes in 64 bits where a case asks for them
        sys.modules["jax"].config.update("jax_enable_x64", False)
