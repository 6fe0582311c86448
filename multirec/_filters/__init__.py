"""Coefficients that are held: banks and cascades, where their numbers come from, and whether float32 holds them.

Imports `_recurrence` and the rooms before it; of the bridges only what makes banks JAX's pytrees, where JAX is loaded.
"""

from . import trees  # noqa: F401  makes banks known as trees
