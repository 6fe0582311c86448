"""What a case is: arguments of `checked.problem_of`, and how its arrays lie."""

from __future__ import annotations

from typing import Any, TypeAlias

Case: TypeAlias = dict[str, Any]
