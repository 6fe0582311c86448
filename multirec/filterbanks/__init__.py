"""Designs of whole banks as second-order sections: gammatone filters, octave and third-octave bands.

A design is in float64 and holds SciPy's rows (C, S, 6), which `multirec.RecurrenceBank.from_sos` takes.

>>> import numpy as np
>>> from multirec import RecurrenceBank, filterbanks
>>> bands = filterbanks.third_octave(48000)
>>> bank = RecurrenceBank.from_sos(bands.sos)
>>> x = np.random.default_rng(0).standard_normal((1, 4800))
>>> y, state = bank(x)
>>> levels = 10 * np.log10((y**2).mean(-1))
>>> len(levels), bands.nominal[:4], bands.centres[:4].round(2)
(30, array([25. , 31.5, 40. , 50. ]), array([25.12, 31.62, 39.81, 50.12]))
"""

from ._gammatone import Gammatone, erb_centres, gammatone
from ._octaves import Bands, octave, third_octave

__all__ = ["Bands", "Gammatone", "erb_centres", "gammatone", "octave", "third_octave"]
