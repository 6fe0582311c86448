"""Plain numbers mean the same wherever they are passed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multirec import RecurrenceBank, analysis, biquads, filterbanks
from multirec import nn as mnn
from multirec.errors import ArgumentError

BANK = RecurrenceBank(feedback=np.array([[0.5]]))
TAKES_A_RATE = {
    "biquads": lambda rate: biquads.low_pass(100.0, sample_rate=rate),
    "equaliser": lambda rate: biquads.equaliser(["peak"], 100.0, 1.0, sample_rate=rate),
    "octave": lambda rate: filterbanks.octave(sample_rate=rate).centres,
    "gammatone": lambda rate: filterbanks.gammatone([100.0], sample_rate=rate).sos,
    "BandpassBank": lambda rate: mnn.BandpassBank(2, sample_rate=rate).centres.tolist(),
    "ParametricEQ": lambda rate: mnn.ParametricEQ(2, sample_rate=rate).frequencies.tolist(),
    "analysis": lambda rate: analysis.group_delay(BANK, 4, sample_rate=rate)[0],
}


@pytest.mark.parametrize("takes", TAKES_A_RATE.values(), ids=TAKES_A_RATE)
def test_a_sample_rate_is_a_number_of_any_type_above_0(takes: Any) -> None:
    for rate in (np.int16(8000), np.float32(8000), np.array(8000)):
        np.testing.assert_array_equal(takes(rate), takes(8000.0))
    for wrong in (0, -8000.0, np.nan, np.inf, "8k", [8000]):
        with pytest.raises(ArgumentError, match="sample_rate is above 0 Hz, got"):
            takes(wrong)
