"""The door of JAX arrays: primitives, their derivatives, and calls to the host. The only room that imports JAX."""
