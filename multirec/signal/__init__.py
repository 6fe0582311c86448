from ._lfilter import lfilter
from ._sosfilt import sosfilt
