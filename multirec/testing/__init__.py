"""What tests of backends and layers share: random stable problems, an oracle, assertions, conformance.

`check_backend` needs neither pytest nor hypothesis; `multirec.testing.conformance` needs the first, and
`multirec.testing.strategies` the second.
"""

from .asserts import assert_close, mismatch, poisoned
from .checks import CHECKS, CheckResult, Subject, Tally, check_backend
from .oracle import Expected, expected
from .problems import Arguments, Case, arguments

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
