"""SciPy's filters, differentiable, as banks, and for every array library."""

from ._decimate import decimate
from ._deconvolve import deconvolve
from ._filtfilt import filtfilt, sosfiltfilt
from ._lfilter import lfilter
from ._sosfilt import sosfilt
from ._states import lfilter_zi, lfiltic, sosfilt_zi

__all__ = [
    "decimate",
    "deconvolve",
    "filtfilt",
    "lfilter",
    "lfilter_zi",
    "lfiltic",
    "sosfilt",
    "sosfilt_zi",
    "sosfiltfilt",
]
