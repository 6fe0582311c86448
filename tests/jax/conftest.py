"""Two CPU devices, for `shard_map`; whoever has used JAX before keeps what there is."""

import contextlib

import pytest

jax = pytest.importorskip("jax")
with contextlib.suppress(RuntimeError):
    jax.config.update("jax_num_cpu_devices", 2)
