"""A recurrence inside an equinox module: a small sequence model that keeps a running sum.

The layer's decays are learnt and change with the input (a gate), so the coefficients vary over time. The state
is passed in and out, and threads through `jax.lax.scan` as it does through calls.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import multirec as mr


class GatedLayer(eqx.Module):
    """y[t] = g[t] y[t-1] + (1 - g[t]) v[t], with gate g and value v linear in the inputs."""

    gate: eqx.nn.Linear
    value: eqx.nn.Linear
    out: eqx.nn.Linear

    def __init__(self, inputs: int, hidden: int, outputs: int, *, key: jax.Array) -> None:
        keys = jax.random.split(key, 3)
        self.gate = eqx.nn.Linear(inputs, hidden, key=keys[0])
        self.value = eqx.nn.Linear(inputs, hidden, key=keys[1])
        self.out = eqx.nn.Linear(hidden, outputs, key=keys[2])

    def __call__(self, x: jax.Array, state: mr.State | None = None) -> tuple[jax.Array, mr.State]:
        """Map x (T, inputs) to (T, outputs); one example, so batches go through `jax.vmap`."""
        gate = jax.nn.sigmoid(jax.vmap(self.gate)(x) + 2)
        driven = (1 - gate) * jax.vmap(self.value)(x)
        y, state = mr.recurrence(driven, feedback=gate[..., None], state=state, layout="TBC")
        return jax.vmap(self.out)(y), state


def main(steps: int = 150) -> tuple[float, float]:
    """Train, and return the first and the last loss as shares of the target's power."""
    x = jax.random.normal(jax.random.key(1), (16, 64, 2))
    target = jax.lax.scan(lambda y, v: (0.9 * y + 0.1 * v,) * 2, jnp.zeros((16, 2)), x.swapaxes(0, 1))[1].swapaxes(0, 1)
    layer = GatedLayer(2, 8, 2, key=jax.random.key(2))
    optimizer = optax.adam(0.02)
    moments = optimizer.init(eqx.filter(layer, eqx.is_array))

    @eqx.filter_value_and_grad
    def error(layer: GatedLayer) -> jax.Array:
        y, _ = jax.vmap(layer)(x)
        return jnp.mean((y - target) ** 2) / jnp.mean(target**2)

    @eqx.filter_jit
    def update(layer, moments):
        loss, grads = error(layer)
        changes, moments = optimizer.update(grads, moments)
        return loss, eqx.apply_updates(layer, changes), moments

    losses = []
    for _ in range(steps):
        loss, layer, moments = update(layer, moments)
        losses.append(float(loss))
    print(f"error: {losses[0]:.3f} of the power at first, {losses[-1]:.3f} after {steps} steps")
    return losses[0], losses[-1]


if __name__ == "__main__":
    main()
