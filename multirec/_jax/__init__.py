"""The bridge to JAX: primitives, their derivatives, and calls to the host. The only room that imports JAX.

`door` looks at shapes, dtypes and devices alone, and compiles a function a signature; under it are the primitives
(`primitives`, `compute`, `lowering`, `derivatives`, `batching`), which either trace a backend of JAX or have XLA call
one of NumPy (`host_call`, on `buffers`, by way of `entry` and `xla_frame`). No value of an array is read, and none is
kept. `pytrees` stands alone. Imports `_engine` and what that imports, and llvmlite in `entry`.
"""
