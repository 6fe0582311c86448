"""Recurrences whose coefficients come at a frame rate, held or interpolated, and are not expanded where a kernel can.

Imports `_recurrence` and the rooms before it.
"""

from .door import framed_recurrence, run
from .framing import Framing, check_count, frames_needed, framing_of

__all__ = ["Framing", "check_count", "framed_recurrence", "frames_needed", "framing_of", "run"]
