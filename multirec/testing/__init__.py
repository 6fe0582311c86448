"""What tests of backends and layers share: random stable problems, an oracle, assertions, conformance.

`check_backend` needs neither pytest nor hypothesis; `multirec.testing.conformance` needs the first, and
`multirec.testing.strategies` the second.
"""

from .asserts import assert_close, mismatch, poisoned
from .checks import CHECKS, Subject, Tally
from .oracle import Expected, expected
from .problems import Arguments, Case, arguments
from .run import CheckResult, check_backend

__all__ = [
    "CHECKS",
    "Arguments",
    "Case",
    "CheckResult",
    "Expected",
    "Subject",
    "Tally",
    "arguments",
    "assert_close",
    "check_backend",
    "expected",
    "mismatch",
    "poisoned",
]
