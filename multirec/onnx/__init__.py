"""Models with recurrences as ONNX: the recurrence becomes a sum and a `Scan`, operators that every runtime has.

It takes torch's own exporter, and what that needs: the packages onnx and onnxscript.
"""

from __future__ import annotations

from ._export import export, translations

__all__ = ["export", "translations"]
