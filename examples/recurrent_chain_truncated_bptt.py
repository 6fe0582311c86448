"""Train a chain of recurrent layers and projections on one long sequence, block by block.

The task needs memory: the target is a slow average of the input, and a faster one of its absolute value. The
state goes from block to block; `detach_state` cuts the gradient there, so that memory and time of a
step depend on the block and not on the sequence (truncated backpropagation through time).
"""

import torch

from multirec import nn


def average(x: torch.Tensor, keep: float) -> torch.Tensor:
    """Return the exponential average along the first axis."""
    past, averages = torch.zeros_like(x[0]), []
    for sample in x:
        past = keep * past + (1 - keep) * sample
        averages.append(past)
    return torch.stack(averages)


def main(length: int = 600, block: int = 50, rounds: int = 8) -> tuple[float, float]:
    """Train, and return the mean loss of the first and of the last round."""
    x = torch.randn(length, 4, 2)
    target = torch.cat([average(x, 0.95)[..., :1] * 5, average(x.abs(), 0.8)[..., 1:] * 2], -1)
    model = nn.Chain(
        torch.nn.Linear(2, 16),
        torch.nn.ReLU(),
        nn.RecurrenceLayer(16, 16, order=2),
        torch.nn.Tanh(),
        nn.RecurrenceLayer(16, 16, order=1),
        torch.nn.Linear(16, 2),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(rounds):
        states, total = None, 0.0
        for inputs, wanted in zip(x.split(block), target.split(block), strict=True):
            outs, states = model(inputs, states)
            loss = torch.nn.functional.mse_loss(outs, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            states = nn.detach_state(states)
            total += loss.item() * len(inputs) / length
        losses.append(total)
        print(f"round {len(losses)}: loss {total:.4f}")
    return losses[0], losses[-1]


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
