"""Pictures of filters, by matplotlib: one filter, or a whole bank of them.

Needs the extra ``plot``, ``pip install 'multirec-bank[plot]'``; matplotlib is loaded by the first picture. Every
function takes what `multirec.analysis` takes, draws on `ax` or on a new figure of pyplot, returns the axes and shows
nothing. Fonts, ink and paper are those of matplotlib's settings. Colours are from scales that colour-blind readers can
follow, and suit light and dark paper.

How a picture shows a bank depends on its size. One filter is a line. Up to 16 are lines whose colours follow their
numbers, with a key at the side. More are a map, one row a filter. The filters of a batch come one after the other.
"""

from ._frequency import group_delay, magnitude, phase
from ._overview import overview
from ._plane import pole_zero
from ._time import impulse

__all__ = ["group_delay", "impulse", "magnitude", "overview", "phase", "pole_zero"]
