"""What JAX users write: a scan over time, and an associative scan of companion matrices."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ..cases.case import Case, Feature, Mode
from ..cases.changes import Change
from ..cases.signals import Array, Outputs, Signals
from .base import ONE_DTYPE, Contestant, Loaded, Run

_COMPILED = "/jax/core/compile/backend_compile_duration"
_WRITTEN_FOR: Mapping[Feature, str] = {"layout": "it is written for layout BCT", "half": ONE_DTYPE}

Function = Callable[..., Any]
"""Takes leaves by name and returns y."""


class JaxContestant(Contestant):
    """A compiled function of JAX arrays and its vector-Jacobian product, in multirec's convention."""

    requires = ("jax",)
    install = "jax"
    distribution = "jax"
    compiles = True
    lacks: Mapping[Feature, str] = {"layer": "it is a filter, not a layer of torch"}

    def load(self) -> Loaded:
        # else JAX takes three quarters of a GPU's memory, and other contestants run in the same process
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        loaded = super().load()
        # as a variable, because jax.config is untyped
        configure: Callable[[str, bool], None] = jax.config.update
        configure("jax_enable_x64", True)
        self.compiled: dict[tuple[Case, Mode], Any] = {}
        self.compiled_seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._heard)
        return loaded._replace(device="cuda" if jax.default_backend() == "gpu" else "cpu")

    def _heard(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            self.compiled_seconds += duration_secs

    def compiling(self) -> float:
        found, self.compiled_seconds = self.compiled_seconds, 0.0
        return found

    @abstractmethod
    def function(self, case: Case, state: Any) -> Function:
        """Return a function of x, feedforward (or None) and feedback that returns y."""

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        import jax

        state = None if signals.state is None else tuple(map(_put, signals.state))
        taps = {} if signals.feedforward is None else {"feedforward": signals.feedforward}
        arrays = {"x": signals.x, **taps, "feedback": signals.feedback}
        leaves = {name: _put(array) for name, array in arrays.items()}
        wait: Callable[[Any], Any] = jax.block_until_ready
        # one function for the whole session: a new one would be compiled again
        if (case, mode) not in self.compiled:
            self.compiled[case, mode] = self._compiled(self.function(case, state), mode)
        work = self.compiled[case, mode]
        self.leaves, self.grad_y = leaves, None
        if mode == "forward":
            return lambda: wait(work(leaves))
        self.grad_y = _put(signals.grad_y)
        return lambda: wait(work(leaves, self.grad_y))

    def change(self, case: Case, signals: Signals, at: Change) -> None:
        """Change the arrays in place: they are given away, and what comes back is kept."""
        axis = case.layout.index("T")
        self.leaves["x"] = _negated(axis)(self.leaves["x"], at.x)
        if self.grad_y is not None:
            self.grad_y = _negated(axis)(self.grad_y, at.grad_y)

    @staticmethod
    def _compiled(function: Function, mode: Mode) -> Any:
        import jax

        def both(leaves: dict[str, Any], grad_y: Any) -> Any:
            y, pull = jax.vjp(lambda leaves: function(**leaves), leaves)
            # JAX's gradient of complex numbers is the conjugate of torch's
            (gradients,) = pull(grad_y.conj())
            return {"y": y} | {name: gradient.conj() for name, gradient in gradients.items()}

        return jax.jit(both if mode != "forward" else lambda leaves: {"y": function(**leaves)})

    def outputs(self, result: Any) -> Outputs:
        return {name: _get(array) for name, array in result.items()}


@cache
def _negated(axis: int) -> Any:
    import jax

    def change(array: Any, time: Any) -> Any:
        place = (*[slice(None)] * axis, time)
        return array.at[place].multiply(-1)

    compiled = jax.jit(change, donate_argnums=0)
    wait: Callable[[Any], Any] = jax.block_until_ready
    return lambda array, time: wait(compiled(array, time))


def _put(array: Any) -> Any:
    from jax import numpy as jnp

    # a copy of its own: JAX's arrays are given away when they are changed
    return jnp.array(array.view(jnp.dtype("bfloat16")) if array.dtype == np.uint16 else array)


def _get(array: Any) -> Array:
    found = np.asarray(array)
    return found.view(np.uint16) if found.dtype.name == "bfloat16" else found


class JaxScan(JaxContestant):
    """jax.lax.scan over time."""

    name = "jax_scan"
    summary = "jax.lax.scan over time, compiled"
    copies = (2.0, 5.0)
    first = True
    lacks: Mapping[Feature, str] = {**JaxContestant.lacks, **_WRITTEN_FOR}

    def function(self, case: Case, state: Any) -> Function:
        from jax import lax
        from jax import numpy as jnp

        order, taps = case.order, case.taps
        shape = (case.batch, case.channels)

        def bank(x: Any, feedback: Any, feedforward: Any = None) -> Any:
            before = jnp.zeros((*x.shape[:2], max(taps - 1, 0)), x.dtype) if state is None else state[0]
            past = jnp.zeros((*shape, order), x.dtype) if state is None else state[1]
            padded = jnp.concatenate([before, x], axis=-1)
            windows = jnp.stack([padded[..., j : j + case.length] for j in range(max(taps, 1))][::-1])
            gates = jnp.moveaxis(feedback, 2, 0) if case.time_varying else None

            def step(past: Any, now: Any) -> Any:
                # past[k] is y[t-1-k], (B, C); window (taps, B, channels of x)
                window, gate = now
                a = feedback if gate is None else gate
                y = window[0] if feedforward is None else sum(feedforward[:, j] * window[j] for j in range(taps))
                y = y + sum(a[..., k] * past[k] for k in range(order))
                return (y, *past[:-1]), y

            start = tuple(past[..., order - 1 - k] for k in range(order))
            _, y = lax.scan(step, start, (jnp.moveaxis(windows, -1, 0), gates))
            return y.transpose(1, 2, 0)

        return bank


class JaxAssociativeScan(JaxContestant):
    """jax.lax.associative_scan of (companion matrix, vector) pairs; of numbers where the order is 1."""

    name = "jax_assoc"
    summary = "jax.lax.associative_scan of companion matrices, compiled"
    lacks: Mapping[Feature, str] = {
        **JaxContestant.lacks,
        **_WRITTEN_FOR,
        "state": "a scan begins from zero",
    }

    def memory(self, case: Case, mode: Mode) -> int:
        # the vectors at every level of the scan, in and out, and as much again for the gradient
        matrices = case.order**2 * case.y_bytes // (1 if case.time_varying else case.batch)
        held = 4 * case.order * case.y_bytes + 4 * matrices
        return case.coefficient_bytes + (held if mode == "forward" else 3 * held)

    def function(self, case: Case, state: Any) -> Function:
        import jax
        from jax import numpy as jnp

        order, taps = case.order, case.taps

        def combine(first: Any, second: Any) -> Any:
            if order == 1:
                return second[0] * first[0], second[0] * first[1] + second[1]
            moved = jnp.einsum("...ij,...j->...i", second[0], first[1])
            return second[0] @ first[0], moved + second[1]

        def driven(x: Any, feedforward: Any) -> Any:
            if feedforward is None:
                return jnp.broadcast_to(x, case.y_shape)
            padded = jnp.pad(x, ((0, 0), (0, 0), (taps - 1, 0)))
            terms = [padded[..., taps - 1 - j :][..., : case.length] * feedforward[:, j, None] for j in range(taps)]
            return sum(terms)

        def bank(x: Any, feedback: Any, feedforward: Any = None) -> Any:
            # time first, and each set of taps with the axes (T, B or 1, C)
            drive = jnp.moveaxis(driven(x, feedforward), -1, 0)
            gates = jnp.moveaxis(feedback, 2, 0) if case.time_varying else feedback[None, None]
            gates = jnp.broadcast_to(gates, (case.length, *gates.shape[1:]))
            if order == 1:
                pair = (jnp.broadcast_to(gates[..., 0], drive.shape), drive)
                return jnp.moveaxis(jax.lax.associative_scan(combine, pair)[1], 0, -1)
            companion = jnp.broadcast_to(jnp.eye(order, k=-1, dtype=x.dtype), (*gates.shape, order))
            matrices = companion.at[..., 0, :].set(gates)
            vectors = jnp.zeros((*drive.shape, order), x.dtype).at[..., 0].set(drive)
            _, states = jax.lax.associative_scan(combine, (matrices, vectors))
            return jnp.moveaxis(states[..., 0], 0, -1)

        return bank
