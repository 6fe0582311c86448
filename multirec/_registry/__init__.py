"""Which backends there are, what they need, and which one computes a problem. Imports `backend` and `_core`."""
