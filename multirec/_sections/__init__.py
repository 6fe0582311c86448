"""Filters in transposed direct form II: the memory that SciPy calls zi, and second-order sections in one pass.

Imports `_recurrence` and the rooms before it.
"""

from .door import Filtered, Sections, cascade, filtered, has_one_pass, run_sections

__all__ = ["Filtered", "Sections", "cascade", "filtered", "has_one_pass", "run_sections"]
