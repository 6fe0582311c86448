"""The bridge to JAX: primitives, their derivatives, and calls to the host. `_shard_map` alone imports JAX besides.

`door`, `cascade` for second-order sections, and `sequences` for several in one row of time (with `cut` and `steps`),
look at shapes, dtypes and devices alone, but for marks that lie on the host, and compile a function a signature; under
them are the primitives (`primitives`, `compute`, `cascades` and `marked`, `lowering`, `derivatives`, `batching`), which
either trace a backend of JAX or have XLA call one of NumPy (`host_call`, for `jobs` on `buffers`, by way of `entry` and
`xla_frame`). Where XLA divides a program over devices, `divided` tells it how by `rows`. No value of an operand is
read, and none is kept. `pytrees` stands alone. Imports `_engine`, `_sequences` and what these import, and llvmlite in
`entry`.
"""
