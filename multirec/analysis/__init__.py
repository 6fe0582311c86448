"""What filters do: their poles, zeros and stability, their responses to an impulse and to each frequency, their delay.

All functions take a `RecurrenceBank`, a `RecurrenceCascade`, a layer of `multirec.nn`, or any object with a method
`to_bank` that returns a bank or a cascade. For SciPy's designs make a bank first, by `RecurrenceBank.from_ba` or
`from_sos`. The batch axes of per-example coefficients come first in every result.

Responses and delays are computed in the library of the coefficients, in double precision where it has one, and are
differentiable there. Poles, zeros and stability are values, in NumPy.

>>> import multirec as mr
>>> from multirec import analysis
>>> bank = mr.RecurrenceBank.from_ba([[1, 0, -1], [1, 2, 1]], [[1, 0, 0.81], [1, -1, 0.25]])
>>> analysis.stability_margin(bank)
array([0.1, 0.5])
>>> frequencies, response = analysis.frequency_response(bank, 4, sample_rate=8000)
>>> frequencies, abs(response).round(3)
(array([   0., 1000., 2000., 3000.]), array([[ 0.   ,  1.099, 10.526,  1.099],
       [16.   ,  6.289,  1.6  ,  0.299]]))
"""

from ._impulse import impulse_response
from ._response import frequency_response, group_delay
from ._stability import is_stable, poles, stability_margin, zeros

__all__ = [
    "frequency_response",
    "group_delay",
    "impulse_response",
    "is_stable",
    "poles",
    "stability_margin",
    "zeros",
]
