"""What JAX users write: a scan over time, and an associative scan of companion matrices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from multirec.bench._case import Case, Mode, Signals

from .base import Contestant, Loaded, Outputs


class JaxContestant(Contestant):
    """A compiled function of JAX arrays and its vector-Jacobian product."""

    requires = ("jax",)
    install = "jax"
    distribution = "jax"
    compiles = True

    def load(self) -> Loaded:
        import jax

        loaded = super().load()
        # as a variable, because jax.config is untyped
        configure: Callable[[str, bool], None] = jax.config.update
        configure("jax_enable_x64", True)

        def both(grad_y: Any, *leaves: Any) -> Any:
            y, pull = jax.vjp(self.filter, *leaves)
            return (y, *pull(grad_y))

        # one function each for the whole session: a new one would be compiled again
        self.forward, self.both = jax.jit(self.filter), jax.jit(both)
        return loaded._replace(device="cuda" if jax.default_backend() == "gpu" else "cpu")

    @abstractmethod
    def filter(self, x: Any, b: Any, a: Any) -> Any:
        """Return y (B, C, T) of x (B, 1, T) and SciPy's b and a (C, p+1)."""

    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        import jax

        leaves = [jax.numpy.asarray(array) for array in signals[:3]]
        wait: Callable[[Any], Any] = jax.block_until_ready
        if mode == "forward":
            return lambda: wait((self.forward(*leaves),))
        grad_y = jax.numpy.asarray(signals.grad_y)
        return lambda: wait(self.both(grad_y, *leaves))

    def outputs(self, result: Any) -> Outputs:
        found = dict(zip(("y", "x", "feedforward", "feedback"), map(np.asarray, result), strict=False))
        if "feedback" in found:
            found["feedback"] = -found["feedback"][:, 1:]
        return found


class JaxScan(JaxContestant):
    """jax.lax.scan over time."""

    name = "jax_scan"
    summary = "jax.lax.scan over time, compiled"
    copies = (2.0, 5.0)

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        import jax
        from jax import numpy as jnp

        order = a.shape[-1] - 1
        batch, _, length = x.shape
        padded = jnp.pad(x[:, 0], ((0, 0), (order, 0)))
        windows = jnp.stack([padded[:, order - j : order - j + length].T for j in range(order + 1)], axis=1)

        def step(past: Any, window: Any) -> Any:
            # past[k] is y[t-1-k], (B, C); window (taps, B)
            y = sum(b[:, j] * window[j][:, None] for j in range(order + 1))
            y = y - sum(a[:, k + 1] * past[k] for k in range(order))
            return (y, *past[:-1]), y

        start = tuple(jnp.zeros((batch, b.shape[0]), x.dtype) for _ in range(order))
        _, y = jax.lax.scan(step, start, windows)
        return y.transpose(1, 2, 0)


class JaxAssociativeScan(JaxContestant):
    """jax.lax.associative_scan of (companion matrix, vector) pairs."""

    name = "jax_assoc"
    summary = "jax.lax.associative_scan of companion matrices, compiled"

    def memory(self, case: Case, mode: Mode) -> int:
        # the vectors at every level of the scan, in and out, and as much again for the gradient
        held = 4 * case.order * case.y_bytes + 4 * case.order**2 * case.y_bytes // case.batch
        return held if mode == "forward" else 3 * held

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        import jax
        from jax import numpy as jnp

        order = a.shape[-1] - 1
        (batch, _, length), channels = x.shape, b.shape[0]
        padded = jnp.pad(x[:, 0], ((0, 0), (order, 0)))
        taps = [padded[:, None, order - j : order - j + length] * b[:, j, None] for j in range(order + 1)]
        vectors = jnp.zeros((length, batch, channels, order), x.dtype)
        vectors = vectors.at[..., 0].set(sum(taps).transpose(2, 0, 1))
        companion = jnp.broadcast_to(jnp.eye(order, k=-1, dtype=x.dtype), (channels, order, order))
        companion = companion.at[:, 0].set(-a[:, 1:])
        matrices = jnp.broadcast_to(companion, (length, 1, channels, order, order))

        def combine(first: Any, second: Any) -> Any:
            moved = jnp.einsum("...ij,...j->...i", second[0], first[1])
            return second[0] @ first[0], moved + second[1]

        _, states = jax.lax.associative_scan(combine, (matrices, vectors))
        return states[..., 0].transpose(1, 2, 0)
