"""The bridge to JAX: primitives, their derivatives, and calls to the host. The only room that imports JAX.

`door`, and `cascade` for second-order sections, look at shapes, dtypes and devices alone, and compile a function a
signature; under them are the primitives (`primitives`, `compute` and `cascades`, `lowering`, `derivatives`,
`batching`), which either trace a backend of JAX or have XLA call one of NumPy (`host_call`, for `jobs` on `buffers`,
by way of `entry` and `xla_frame`). No value of an array is read, and none is kept. `pytrees` stands alone. Imports
`_engine` and what that imports, and llvmlite in `entry`.
"""
