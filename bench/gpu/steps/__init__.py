"""The steps of `make gpu` and what they share. Importing this makes the checkout importable, without installing it."""

import sys

from ..checkout import ROOT, use_checkout

use_checkout()
# the cases of the kernels, and what computes them without a GPU
sys.path.insert(0, str(ROOT / "tests" / "cuda"))
