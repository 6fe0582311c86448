"""Derivatives, written with array operations and the recurrence itself. Imports `backend`, `_core` and `_machine`."""
