"""Other ways to compute W1 on the same card; each one is skipped with its reason where it is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

import multirec as mr

from ..items import SkippedError
from ..results import Row
from .beside import compared, forward_row
from .specs import WORKLOADS
from .workloads import Workload


class Peer(NamedTuple):
    """A function of x (B, 1, T), feedforward (C, 3) and feedback (C, 2) that returns the work to be timed."""

    package: str
    prepare: Callable[[Any, Any, Any], Callable[[], Any]]
    has_gradient: bool = False

    def __call__(self, x: Any, b: Any, a: Any) -> Callable[[], Any]:
        if not find_spec(self.package):
            raise SkippedError(f"{self.package} is not installed")
        return self.prepare(x, b, a)


def torchaudio(x: Any, b: Any, a: Any) -> Callable[[], Any]:
    """Filter C stacked copies of x, as its bank does."""
    from torchaudio.functional import lfilter

    def work() -> Any:
        denominator = torch.cat([torch.ones_like(a[:, :1]), -a], -1)
        return lfilter(x.expand(-1, b.shape[0], -1), denominator, b, clamp=False, batching=True)

    return work


def cupyx(x: Any, b: Any, a: Any) -> Callable[[], Any]:
    """Filter x once for each row of the bank."""
    import cupy
    from cupyx.scipy.signal import lfilter

    x, b, a = map(cupy.from_dlpack, (x, b, a))
    one = cupy.ones((1,), cupy.float32)
    filters = [(b[c], cupy.concatenate([one, -a[c]])) for c in range(len(b))]

    # on the default stream, as everything here
    return lambda: cupy.concatenate([lfilter(top, bottom, x) for top, bottom in filters], 1)


def jax_scan(x: Any, b: Any, a: Any) -> Callable[[], Any]:
    """One compiled scan over time."""
    jax, x, b, a = _in_jax(x, b, a)

    def step(past: Any, now: Any) -> Any:
        x1, x2, y1, y2 = past
        y = b[:, 0] * now + b[:, 1] * x1 + b[:, 2] * x2 + a[:, 0] * y1 + a[:, 1] * y2
        return (now, x1, y, y1), y

    def scan(x: Any) -> Any:
        zeros = jax.numpy.zeros((x.shape[0], 1)), jax.numpy.zeros((x.shape[0], b.shape[0]))
        _, y = jax.lax.scan(step, (zeros[0], zeros[0], zeros[1], zeros[1]), x[:, 0].T[..., None])
        return y.transpose(1, 2, 0)

    return _after_torch(jax.jit(scan), x)


def jax_associative_scan(x: Any, b: Any, a: Any) -> Callable[[], Any]:
    """The scan in parallel that JAX has, over pairs of a matrix and a vector."""
    jax, x, b, a = _in_jax(x, b, a)
    jnp = jax.numpy

    def combine(first: Any, second: Any) -> Any:
        m, n, o, p, u, v = first
        e, f, g, h, w, z = second
        matrix = e * m + f * o, e * n + f * p, g * m + h * o, g * n + h * p
        return *matrix, e * u + f * v + w, g * u + h * v + z

    def scan(x: Any) -> Any:
        length = x.shape[-1]
        padded = jnp.pad(x, ((0, 0), (0, 0), (2, 0)))
        right = sum(b[:, j, None] * padded[..., 2 - j : 2 - j + length] for j in range(3))
        ones = jnp.ones((1, *right.shape[1:]), x.dtype)
        matrix = a[:, :1] * ones, a[:, 1:] * ones, ones, 0 * ones
        return jax.lax.associative_scan(combine, (*matrix, right, jnp.zeros_like(right)), axis=-1)[4]

    return _after_torch(jax.jit(scan), x)


def own_jax(x: Any, b: Any, a: Any) -> Callable[[], Any]:
    """The backend `jax` of this package."""
    _, x, b, a = _in_jax(x, b, a)
    return _after_torch(lambda x: mr.recurrence(x, feedforward=b, feedback=a, backend="jax")[0], x)


def jax_on_gpu() -> Any:
    """Return JAX, if it is installed with a GPU."""
    try:
        import jax
    except ImportError as error:
        raise SkippedError(str(error)) from None
    if jax.default_backend() != "gpu":
        raise SkippedError("JAX finds no GPU")
    return jax


def _in_jax(*tensors: Any) -> Any:
    jax = jax_on_gpu()
    return jax, *(jax.numpy.asarray(tensor.cpu().numpy()) for tensor in tensors)


def _after_torch(run: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    """Return work that is between two events of torch's stream: JAX has streams of its own, which wait for nothing."""

    def work() -> Any:
        torch.cuda.current_stream().synchronize()
        return run(x).block_until_ready()

    return work


OWN = "backend jax"
PEERS = {
    "torchaudio": Peer("torchaudio", torchaudio, has_gradient=True),
    "cupyx lfilter, looped": Peer("cupyx", cupyx),
    OWN: Peer("jax", own_jax),
    "jax lax.scan": Peer("jax", jax_scan),
    "jax associative_scan": Peer("jax", jax_associative_scan),
}


def rows(name: str) -> Iterator[Row]:
    """Check and time a peer on W1, next to our own call; with its gradient where it has one."""
    workload = Workload(WORKLOADS["W1 biquads"])
    prepare = PEERS[name]
    with torch.no_grad():
        yield forward_row(prepare(*(leaf.detach() for leaf in workload.leaves)), workload)
    if prepare.has_gradient:
        gradient = torch.randn_like(workload.forward())
        work = prepare(*workload.leaves)
        yield {"mode": "forward+backward"} | compared(
            lambda: torch.autograd.grad(work(), workload.leaves, gradient),
            lambda: torch.autograd.grad(workload.forward(), workload.leaves, gradient),
            workload.spec.least_bytes["forward+backward"],
        )
