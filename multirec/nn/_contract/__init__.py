"""The contract of units: (outs, state) of (x, state), units in turn and side by side, and what calls are given."""
