"""Filters in transposed direct form II: the memory that SciPy calls zi, and second-order sections in one pass.

Imports `_recurrence` and the rooms before it.
"""

from .door import Filtered, Sections, cascade, filtered

__all__ = ["Filtered", "Sections", "cascade", "filtered"]
