"""Libraries whose recurrence is computed in pieces: summarized, composed, replayed, and joined."""

from functools import reduce
from itertools import pairwise

import multirec as mr
from multirec._core.axes import explicit, namespace
from multirec.distributed import compose, replay, summarize
from multirec.testing.libraries import JaxLibrary, NumpyLibrary, TorchLibrary, options

TIME = {"BCT": -1, "BTC": -2, "TBC": 0}


def cut(array, axis, start, stop):
    index = [slice(None)] * array.ndim
    index[axis] = slice(start, stop)
    return array[tuple(index)]


def blocks_of(case, operands, cuts):
    """Return the keyword arguments of each block with its x, in running order."""
    x, *_ = operands
    given = options(case, operands)
    del given["state"]
    blocks = []
    for name in ("feedforward", "feedback"):
        # a block may be as long as there are taps
        given[name] = explicit(given[name], x, case.layout)
    for start, stop in pairwise([0, *cuts, case.length]):
        own = dict(given)
        for name in ("feedforward", "feedback"):
            taps = own[name]
            if taps is not None and taps.ndim == x.ndim + 1:
                axis = TIME[case.layout] - (case.layout != "TBC")
                if taps.shape[axis] > 1:
                    own[name] = cut(taps, axis, start, stop)
        if "resets" in own:
            own["resets"] = cut(own["resets"], 0 if case.layout == "TBC" else -1, start, stop)
        blocks.append((cut(x, TIME[case.layout], start, stop), own))
    return blocks[::-1] if case.reverse else blocks


def in_pieces(case, backend, operands, cuts):
    """Return what `recurrence` returns: every second cut is folded from the left, the others pair by pair."""
    blocks = blocks_of(case, operands, cuts)
    summaries = [summarize(x, **own, backend=backend) for x, own in blocks]
    start = mr.State(*operands[3:])
    parts = []
    for n, (x, own) in enumerate(blocks):
        before = start if n == 0 else reduce(compose, summaries[:n]).after(start)
        parts.append(replay(x, before, **own, backend=backend)[0])
    # from the right, which is another order of association
    whole = reduce(lambda later, earlier: compose(earlier, later), summaries[::-1])
    library = namespace(parts[0])
    join = library.cat if library.__name__ == "torch" else library.concatenate
    return join(parts[::-1] if case.reverse else parts, TIME[case.layout]), whole.after(start)


class _InPieces:
    cuts = ()

    def call(self, case, backend, operands):
        return in_pieces(case, backend, operands, [cut for cut in self.cuts if cut <= case.length])


class NumpyPieces(_InPieces, NumpyLibrary):
    pass


class TorchPieces(_InPieces, TorchLibrary):
    pass


class JaxPieces(_InPieces, JaxLibrary):
    def call(self, case, backend, operands):
        with self._jax.enable_x64(True):
            return super().call(case, backend, operands)
