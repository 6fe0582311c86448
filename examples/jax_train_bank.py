"""Fit a bank of second-order filters to a sound in plain JAX, with optax.

The bank is a pytree, so it is trained like any other tree of parameters. Radius and angle of the poles are what is
learnt: a radius below 1 keeps every filter stable.
"""

import jax
import jax.numpy as jnp
import optax

import multirec as mr


def bank_of(parameters: dict[str, jax.Array]) -> mr.RecurrenceBank:
    """Return the bank of pole radii, pole angles and gains, (C,) each."""
    radius, angle = jax.nn.sigmoid(parameters["radius"]), parameters["angle"]
    feedback = jnp.stack([2 * radius * jnp.cos(angle), -(radius**2)], -1)
    return mr.RecurrenceBank(feedforward=parameters["gain"][:, None], feedback=feedback, backend="jax")


def main(steps: int = 200) -> tuple[float, float]:
    """Train, and return the first and the last loss as shares of the target's power."""
    noise = jax.random.normal(jax.random.key(0), (8, 1, 500))
    resonances = {
        "radius": jnp.array([3.0, 2.5]),
        "angle": jnp.array([0.4, 1.2]),
        "gain": jnp.array([0.2, 0.4]),
    }
    target = bank_of(resonances)(noise)[0].sum(1)

    parameters = {"radius": jnp.full(4, 2.0), "angle": jnp.linspace(0.2, 2.0, 4), "gain": jnp.full(4, 0.1)}
    optimizer = optax.adam(0.05)
    moments = optimizer.init(parameters)

    def error(parameters: dict[str, jax.Array]) -> jax.Array:
        y, _ = bank_of(parameters)(noise)
        return jnp.mean((y.sum(1) - target) ** 2) / jnp.mean(target**2)

    @jax.jit
    def update(parameters, moments):
        loss, grads = jax.value_and_grad(error)(parameters)
        changes, moments = optimizer.update(grads, moments)
        return loss, optax.apply_updates(parameters, changes), moments

    losses = []
    for _ in range(steps):
        loss, parameters, moments = update(parameters, moments)
        losses.append(float(loss))
    print(f"error: {losses[0]:.3f} of the power at first, {losses[-1]:.3f} after {steps} steps")
    return losses[0], losses[-1]


if __name__ == "__main__":
    main()
