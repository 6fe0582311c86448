"""The kernel: forward only. Its gradient comes from multirec.adjoint."""

import numpy as np


class Example:
    def forward(self, problem, operands, allocate):
        x, b, a, inputs, outputs = operands
        p, q, length = problem.order, problem.input_order, problem.length
        y = allocate(problem.channels, problem.y_dtype)
        # signals with their past in front (behind, when time runs backwards)
        all_x = join(inputs, x, q, problem.reverse)
        all_y = join(outputs, np.empty_like(y), p, problem.reverse)
        for t in reversed(range(length)) if problem.reverse else range(length):
            sample = at(all_x, t, 0, q, problem.reverse) if b is None else 0
            for j in range(0 if b is None else q + 1):
                sample = sample + tap(b, t, j) * at(all_x, t, j, q, problem.reverse)
            for k in range(1, p + 1):
                sample = sample + tap(a, t, k - 1) * at(all_y, t, k, p, problem.reverse)
            y[..., t] = all_y[..., t if problem.reverse else t + p] = sample
        return y


def join(past, block, count, reverse):
    if past is None:
        past = np.zeros((*block.shape[:-1], count), block.dtype)
    return np.concatenate((block, past) if reverse else (past, block), axis=-1)


def at(signal, t, lag, count, reverse):
    return signal[..., t + lag if reverse else t + count - lag]


def tap(taps, t, index):
    return taps[:, :, t if taps.shape[2] > 1 else 0, index]


kernel = Example()
