"""The equaliser cookbook's second-order sections, as differentiable functions of frequency, Q and gain.

Robert Bristow-Johnson, *Audio EQ Cookbook*, W3C Group Note, 2021: bilinear transforms of nine analog prototypes.

Parameters are numbers or arrays of NumPy, torch, JAX or CuPy, and are broadcast. A result (…, 6) has SciPy's rows
b0, b1, b2, a0, a1, a2 with a0 = 1, in the library and precision of the arrays (float32 for half types; float64 for
numbers alone). So parameters (C,) give one section for each of C channels; stacked on axis -2, (C, S, 6), they are a
cascade for `multirec.RecurrenceBank.from_sos`. `equaliser` makes sections of several kinds at once.

Every result is stable, also after rounding: the frequency and the bandwidth of the poles are kept where the precision
still tells them from the unit circle. In float32 that is from 1.1e-4 to 0.49989 of the sample rate (5.3 Hz at 48 kHz),
in float64 from 4.8e-9. Q is kept within 1e±9 and the gain within ±300 dB. Beyond a limit the filter is that at the
limit, and gradients are finite and go on, so that training comes back. Numbers and NumPy arrays that make no sense,
such as a frequency above half the sample rate, raise; values in other arrays are limited. NaN stays NaN.

The numerator is made of the denominator as it was rounded, so that the gain at 0 Hz, at the frequency and at half the
sample rate is the one asked for, however near the circle the poles are.

>>> from multirec import RecurrenceBank, biquads
>>> kinds = ["low_shelf", "peak", "high_shelf"]
>>> sos = biquads.equaliser(kinds, [100.0, 1000.0, 8000.0], 0.7, [3.0, -6.0, 2.0], sample_rate=48000)
>>> sos.shape
(3, 6)
>>> bank = RecurrenceBank.from_sos(sos)
"""

from ._cookbook import (
    all_pass,
    band_pass,
    band_pass_skirt,
    equaliser,
    high_pass,
    high_shelf,
    low_pass,
    low_shelf,
    notch,
    peak,
    q_of_bandwidth,
)
from ._kinds import Kind

__all__ = [
    "Kind",
    "all_pass",
    "band_pass",
    "band_pass_skirt",
    "equaliser",
    "high_pass",
    "high_shelf",
    "low_pass",
    "low_shelf",
    "notch",
    "peak",
    "q_of_bandwidth",
]
